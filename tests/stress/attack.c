// SPDX-License-Identifier: GPL-2.0-only
/*
 * attack NUMBER: every way to write through a mapping for reading, NUMBER times
 * each; the region stays as it is. The owner of a descriptor that is open for
 * writing may have mprotect() make its mapping writable, but not executable.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "stress.h"

static char *memory;
static bool may_write;
static pid_t victim;
static int mem;

static int by_mprotect(void)
{
	static const int prots[] = {
		PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
		PROT_WRITE, PROT_READ | PROT_WRITE,
	};

	return mprotect(memory, PAGE, prots[dice_below(may_write ? 2 : 4)]) ? errno : 0;
}

static int by_proc_mem(void)
{
	return pwrite(mem, "x", 1, (off_t)(uintptr_t)memory) < 0 ? errno : 0;
}

static int by_ptrace(void)
{
	return ptrace(PTRACE_POKEDATA, victim, memory, 0x7878787878787878) ? errno : 0;
}

static int by_process_vm(void)
{
	char byte = 'x';
	struct iovec from = { &byte, 1 }, to = { memory, 1 };

	return process_vm_writev(victim, &from, 1, &to, 1, 0) < 0 ? errno : 0;
}

void attack(const struct numbers *numbers)
{
	static const struct {
		const char *name;
		int (*act)(void);
		int refused;
	} ways[] = {
		{ "mprotect", by_mprotect, EACCES },
		{ "/proc/pid/mem", by_proc_mem, EIO },
		{ "ptrace", by_ptrace, EIO },
		{ "process_vm_writev", by_process_vm, EFAULT },
	};
	uint64_t refused = 0;
	char before[PAGE], path[32];
	struct genl genl;
	int writable, fd;

	genl_open(&genl);
	must(region_new(&genl, &(struct region) { .name = "attack", .period_ns = HOUR }), "new");
	writable = open_or_fail(STATE("attack"), O_RDWR);
	memset(before, 0x5a, sizeof(before));
	before[4] = 0;
	if (pwrite(writable, before, PAGE, 0) != PAGE)
		fail("pwrite: %m");
	for (int round = 0; round < 2; round++) {
		may_write = round;
		fd = open_or_fail(STATE("attack"), may_write ? O_RDWR : O_RDONLY);
		memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			fail("mmap: %m");
		victim = fork_child();
		if (!victim)
			for (;;)
				pause();
		if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) ||
		    waitpid(victim, NULL, 0) != victim)
			fail("ptrace: %m");
		snprintf(path, sizeof(path), "/proc/%d/mem", victim);
		mem = open_or_fail(path, O_RDWR);
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
			for (uint64_t j = 0; j < numbers->at[0]; j++) {
				int error = ways[i].act();

				if (error != ways[i].refused)
					fail("%s: %s", ways[i].name, strerror(error));
				refused++;
			}
		}
		close(mem);
		kill_child(victim);
		if (memcmp(memory, before, PAGE))
			fail("the region is not what it was");
		munmap(memory, PAGE);
		close(fd);
	}
	close(writable);
	must(region_delete(&genl, "attack"), "delete");
	say("refused", refused);
}
