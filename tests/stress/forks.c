// SPDX-License-Identifier: GPL-2.0-only
/* Processes with mappings that they inherit, split, and leave behind in any order. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "stress.h"

#define PAGES	4

static void expect_no_users(struct genl *genl, const char *name)
{
	uint64_t users = region_number(genl, name, RTSHM_A_REGION_USERS);

	if (users)
		fail("%s has %lu users when all are gone", name, (unsigned long)users);
}

/* What the mapping goes through before and after a fork, in any order. */
static void maltreat(char *memory)
{
	char *page = memory + dice_below(PAGES) * PAGE;

	switch (dice_below(7)) {
	case 0:
		if (madvise(page, PAGE, MADV_DONTFORK))
			fail("MADV_DONTFORK: %m");
		break;
	case 1:
		if (madvise(memory, PAGES * PAGE, MADV_DOFORK) && errno != ENOMEM)
			fail("MADV_DOFORK: %m");
		break;
	case 2:
		if (mprotect(page, PAGE, PROT_READ) && errno != ENOMEM)
			fail("mprotect: %m");
		break;
	case 3:
		if (madvise(page, PAGE, MADV_DONTNEED) && errno != ENOMEM)
			fail("MADV_DONTNEED: %m");
		break;
	case 4:
		munmap(page, PAGE);
		break;
	case 5:
		mremap(page, PAGE, PAGE, MREMAP_MAYMOVE);
	}
}

/* A process of the tree: children of its own, some work, and an end of its own. */
static void branch(char *memory, int depth)
{
	int children = dice_below(4);
	bool waits = dice_below(2);

	while (children--) {
		pid_t pid;

		maltreat(memory);
		pid = fork();
		if (pid < 0)
			fail("fork: %m");
		if (!pid) {
			/* Its own turns of the dice. */
			for (int i = getpid() % 64; i; i--)
				dice();
			maltreat(memory);
			if (depth)
				branch(memory, depth - 1);
			_exit(0);
		}
	}
	pause_ns(dice_below(MS));
	while (waits && wait(NULL) > 0)
		;
	/* Not waited for: whoever reaps orphans has them. */
}

/* Of those that lost their parent, too. */
static void wait_for_all(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

/* forks NUMBER: so many trees of processes. */
void forks(const struct numbers *numbers)
{
	uint64_t trees, processes = 0;
	struct genl genl;

	/* The orphans of the trees come here and not to the guest's init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	genl_open(&genl);
	must(region_new(&genl, &(struct region) {
		.name = "forks", .size = PAGES * PAGE, .period_ns = MS }), "new");
	for (trees = 0; processes < numbers->at[0]; trees++) {
		int fd = open_or_fail(STATE("forks"), O_RDWR);
		char *memory = map_or_fail(fd, PAGES * PAGE);
		pid_t pid, root;

		close(fd);
		for (int i = 0; i < PAGES; i++)
			memory[i * PAGE + 100] = 1;
		root = fork_child();
		if (!root) {
			branch(memory, 3);
			_exit(0);
		}
		/* Before its heirs, every other time. */
		if (trees % 2)
			munmap(memory, PAGES * PAGE);
		while ((pid = wait(NULL)) > 0)
			processes++;
		if (!(trees % 2))
			munmap(memory, PAGES * PAGE);
		wait_for_all();
		expect_no_users(&genl, "forks");
	}
	must(region_delete(&genl, "forks"), "delete");
	say("trees", trees);
	say("forks", processes);
}

#define MAPS	64

/* mappers PROCESSES ROUNDS: so many processes with 64 mappings each, all killed. */
void mappers(const struct numbers *numbers)
{
	uint64_t processes = numbers->at[0], round, mapped = 0;
	pid_t pids[64];
	struct genl genl;
	int ready[2];

	if (processes > ARRAY_SIZE(pids) || pipe(ready))
		fail("%lu processes: %m", (unsigned long)processes);
	genl_open(&genl);
	for (round = 0; round < numbers->at[1]; round++) {
		must(region_new(&genl, &(struct region) {
			.name = "mappers", .size = PAGES * PAGE, .period_ns = MS }), "new");
		for (uint64_t i = 0; i < processes; i++) {
			pids[i] = fork_child();
			if (pids[i])
				continue;
			for (int j = 0; j < MAPS; j++) {
				int fd = open_or_fail(STATE("mappers"), O_RDWR);
				char *memory = map_or_fail(fd, PAGES * PAGE);

				memory[(j % PAGES) * PAGE + 8 + i] = j;
				close(fd);
			}
			if (write(ready[1], "", 1) != 1)
				fail("pipe: %m");
			for (;;)
				pause();
		}
		for (uint64_t i = 0; i < processes; i++) {
			char byte;

			if (read(ready[0], &byte, 1) != 1)
				fail("pipe: %m");
		}
		if (region_number(&genl, "mappers", RTSHM_A_REGION_USERS) != processes * MAPS)
			fail("users are not the %lu mappings", (unsigned long)processes * MAPS);
		/* Every other time its mappers outlive the region. */
		if (round % 2)
			must(region_delete(&genl, "mappers"), "delete");
		for (uint64_t i = 0; i < processes; i++)
			kill(pids[i], SIGKILL);
		for (uint64_t i = 0; i < processes; i++)
			kill_child(pids[i]);
		mapped += processes * MAPS;
		if (round % 2)
			continue;
		expect_no_users(&genl, "mappers");
		must(region_delete(&genl, "mappers"), "delete");
	}
	say("kills", round * processes);
	say("mappings", mapped);
}
