// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading, with nobody there, and with somebody in the way. All
 * begin and end without the module.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "stress.h"

#define PARAMETERS	"print=0 period_ns=1000000"

static unsigned int references(void)
{
	char text[16] = "";
	int fd = open_or_fail("/sys/module/rtshm/refcnt", O_RDONLY);

	if (read(fd, text, sizeof(text) - 1) < 0)
		fail("refcnt: %m");
	close(fd);
	return atoi(text);
}

/* cycles NUMBER: load, unload. */
void cycles(const struct numbers *numbers)
{
	uint64_t cycle;

	for (cycle = 0; cycle < numbers->at[0]; cycle++) {
		must(module_load(PARAMETERS), "loading");
		if (references())
			fail("%u references to a module that nobody uses", references());
		must(module_unload(), "unloading");
		if (!access(STATE("default"), F_OK) || !access("/sys/class/rtshm", F_OK))
			fail("something of the module is left after cycle %lu",
			     (unsigned long)cycle);
	}
	say("cycles", cycle);
}

static void poll_until_gone(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLPRI };

	poll(&poller, 1, -1);
}

/*
 * held NUMBER: of a file, a mapping whose file is closed, a reader of samples
 * and a poller, in every order, each keeps the module from being unloaded, the
 * last one too; the timers that go on do not.
 */
void held(const struct numbers *numbers)
{
	enum { FILE_OPEN, MAPPED, READER, POLLER, KINDS };
	uint64_t cycle, refused = 0;

	for (cycle = 0; cycle < numbers->at[0]; cycle++) {
		int order[KINDS] = { FILE_OPEN, MAPPED, READER, POLLER };
		struct genl genl;
		int fd, reader, polled;
		void *memory;
		pid_t poller;

		must(module_load("print=0 period_ns=100000"), "loading");
		genl_open(&genl);
		must(region_new(&genl, &(struct region) {
			.name = "held", .period_ns = 100000, .history = 16 }), "new");
		genl_close(&genl);

		polled = open_or_fail(STATE("default"), O_RDWR);
		poller = fork_child();
		if (!poller) {
			poll_until_gone(polled);
			_exit(1);
		}
		close(polled);
		fd = open_or_fail(STATE("held"), O_RDWR);
		memory = map_or_fail(fd, PAGE);
		*(volatile uint64_t *)memory = 1;
		close(fd);
		fd = open_or_fail(STATE("default"), O_RDWR);
		reader = open_or_fail(SAMPLES("held"), O_RDONLY);

		for (int i = KINDS - 1; i > 0; i--) {
			int other = dice_below(i + 1), kind = order[i];

			order[i] = order[other];
			order[other] = kind;
		}
		for (int i = 0; i < KINDS; i++) {
			int error = module_unload();

			if (error != EAGAIN)
				fail("unloading with %d users: %s", KINDS - i,
				     strerror(error));
			refused++;
			switch (order[i]) {
			case FILE_OPEN:
				close(fd);
				break;
			case MAPPED:
				munmap(memory, PAGE);
				break;
			case READER:
				close(reader);
				break;
			case POLLER:
				kill_child(poller);
			}
		}
		must(module_unload(), "unloading after the last user");
	}
	say("cycles", cycle);
	say("refused", refused);
}

/* Whatever an open finds while the module comes and goes. */
static void open_and_use(_Atomic uint64_t *tried, _Atomic uint64_t *opened)
{
	for (;;) {
		int fd = open(STATE("default"), O_RDWR);
		uint64_t word;

		(*tried)++;
		if (fd < 0) {
			if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
				fail("open: %m");
			/* Not all the time of a cpu for what is not there. */
			pause_ns(dice_below(100000));
			continue;
		}
		if (pread(fd, &word, sizeof(word), 0) != sizeof(word))
			fail("pread: %m");
		(*opened)++;
		spin_ns(dice_below(50000));
		close(fd);
		pause_ns(dice_below(100000));
	}
}

static _Atomic uint64_t *shared_counters(void)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap: %m");
	return memory;
}

static uint64_t unload_when_idle(void)
{
	uint64_t until = now_ns() + PATIENCE, tries = 1;

	for (int error; (error = module_unload()); tries++) {
		if (error != EAGAIN)
			fail("unloading: %s", strerror(error));
		if (now_ns() > until)
			fail("in use without a pause for the whole deadline");
		pause_ns(dice_below(200000));
	}
	return tries;
}

/* opened NUMBER: so many tries to unload and opens that found it, against each other. */
void opened(const struct numbers *numbers)
{
	_Atomic uint64_t *tried = shared_counters(), *opens = tried + 1;
	uint64_t cycle, unloads = 0;
	pid_t opener = fork_child();

	if (!opener)
		open_and_use(tried, opens);
	for (cycle = 0; unloads + *opens < numbers->at[0] || !*opens; cycle++) {
		must(module_load(PARAMETERS), "loading");
		/* For the opener to be anywhere in its round. */
		pause_ns(dice_below(10 * MS));
		unloads += unload_when_idle();
		if (cycle > numbers->at[0])
			fail("only %lu opens in %lu cycles", (unsigned long)*opens,
			     (unsigned long)cycle);
	}
	kill_child(opener);
	say("cycles", cycle);
	say("unloads", unloads);
	say("opens", *opens);
}

static void ask_for_ever(_Atomic uint64_t *requests)
{
	char name[16];

	snprintf(name, sizeof(name), "r%d", getpid());
	for (;;) {
		struct genl genl;
		int error = 0;

		if (genl_try_open(&genl))
			continue;
		/* Refused when the module goes meanwhile, and nothing else is. */
		error |= region_new(&genl, &(struct region) { .name = name,
							      .period_ns = MS });
		for (int i = 0; i < 24 && !error; i++) {
			error |= region_get(&genl, name);
			region_dump(&genl);
			*requests += 2;
		}
		region_delete(&genl, name);
		*requests += 2;
		genl_close(&genl);
	}
}

/* asked NUMBER REQUESTS: so many unloads, with so many requests all the time. */
void asked(const struct numbers *numbers)
{
	_Atomic uint64_t *requests = shared_counters();
	uint64_t cycle, before;
	pid_t askers[3];

	for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
		askers[i] = fork_child();
		if (!askers[i])
			ask_for_ever(requests);
	}
	for (cycle = 0; cycle < numbers->at[0]; cycle++) {
		uint64_t until = now_ns() + PATIENCE;

		before = *requests;
		must(module_load(PARAMETERS), "loading");
		while (*requests - before < numbers->at[1] / numbers->at[0]) {
			if (now_ns() > until)
				fail("no requests any more");
			pause_ns(100000);
		}
		unload_when_idle();
	}
	for (size_t i = 0; i < ARRAY_SIZE(askers); i++)
		kill_child(askers[i]);
	say("cycles", cycle);
	say("requests", *requests);
}

/*
 * spliced NUMBER: pages of a region that a pipe has hold of outlive the mapping,
 * the file, the region and the module, and keep what was in them.
 */
void spliced(const struct numbers *numbers)
{
	uint64_t cycle;
	int pipes[2];

	if (pipe(pipes))
		fail("pipe: %m");
	for (cycle = 0; cycle < numbers->at[0]; cycle++) {
		static char before[2 * PAGE_MAX], after[2 * PAGE_MAX];
		size_t size = 2 * PAGE;
		char parameters[64];
		struct iovec pages;
		char *memory;
		int fd;

		snprintf(parameters, sizeof(parameters), "print=0 period_ns=100000 size=%zu", size);
		must(module_load(parameters), "loading");
		fd = open_or_fail(STATE("default"), O_RDWR);
		memory = map_or_fail(fd, size);
		memset(memory, 1 + cycle % 100, size);
		memset(memory, 0, sizeof(struct rtshm_word));
		memcpy(before, memory, size);
		pages = (struct iovec) { memory, size };
		if (vmsplice(pipes[1], &pages, 1, 0) != (ssize_t)size)
			fail("vmsplice: %m");
		munmap(memory, size);
		close(fd);
		must(module_unload(), "unloading");
		if (read(pipes[0], after, size) != (ssize_t)size)
			fail("read: %m");
		if (memcmp(before, after, size))
			fail("the pages in the pipe are not what they were");
	}
	say("cycles", cycle);
}
