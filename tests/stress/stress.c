// SPDX-License-Identifier: GPL-2.0-only
/* The program of the stress drivers, and what they share: see stress.h. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/streams.h"
#include "stress.h"

static uint64_t seed, state;
static const char *driver = "stress";

void fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", driver);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (seed %" PRIu64 ")\n", seed);
	exit(1);
}

void say(const char *key, uint64_t number)
{
	printf("%s %" PRIu64 "\n", key, number);
	fflush(stdout);
}

/* xorshift64*: the same numbers from the same seed, everywhere. */
uint64_t dice(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

uint64_t dice_below(uint64_t limit)
{
	return (dice() >> 16) % limit;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

void pause_ns(uint64_t ns)
{
	struct timespec time = { ns / SECOND, ns % SECOND };

	nanosleep(&time, NULL);
}

void spin_ns(uint64_t ns)
{
	uint64_t until = now_ns() + ns;

	while (now_ns() < until)
		;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity to cpu %d: %m", cpu);
}

pid_t fork_child(void)
{
	uint64_t own = dice() | 1;
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %m");
	if (!pid) {
		state = own;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

void kill_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %m");
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("a child ended with status %#x before it was killed", status);
}

void wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %m");
	if (status)
		fail("a child ended with status %#x", status);
}

int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		fail("open %s: %m", path);
	return fd;
}

void *map_or_fail(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail("mmap of %zu bytes: %m", size);
	return memory;
}

void write_text(const char *path, const char *text)
{
	int fd = open_or_fail(path, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("write %s to %s: %m", text, path);
	close(fd);
}

int module_load(const char *parameters)
{
	int fd = open_or_fail("rtshm.ko", O_RDONLY | O_CLOEXEC);
	int error = syscall(SYS_finit_module, fd, parameters, 0) ? errno : 0;

	close(fd);
	return error;
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "rtshm", O_NONBLOCK) ? errno : 0;
}

static const struct {
	const char *name;
	void (*run)(const struct numbers *numbers);
} drivers[] = {
	{ "cycles", cycles },
	{ "held", held },
	{ "opened", opened },
	{ "asked", asked },
	{ "spliced", spliced },
	{ "failures", failures },
	{ "fuzz", fuzz },
	{ "refused", refused },
	{ "race", race },
	{ "bounds", bounds },
	{ "loss", loss },
	{ "kills", kills },
	{ "mappers", mappers },
	{ "forks", forks },
	{ "attack", attack },
	{ "churn", churn },
	{ "deleted", deleted },
	{ "polled", polled },
	{ "zeroed", zeroed },
	{ "hostile", hostile },
	{ "storm", storm },
	{ "stays", stays },
	{ "announced", announced },
	{ "overtaken", overtaken },
	{ "handshake", handshake },
};

int main(int argc, char **argv)
{
	struct numbers numbers = {};

	open_streams();
	if (argc < 3 || argc > 3 + (int)ARRAY_SIZE(numbers.at))
		return 2;
	driver = argv[1];
	seed = strtoull(argv[2], NULL, 10);
	state = seed * 0x9e3779b97f4a7c15ULL | 1;
	for (int i = 3; i < argc; i++)
		numbers.at[numbers.count++] = strtoull(argv[i], NULL, 10);
	/* Whoever started this and is gone has no use for it any more. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (!strcmp(drivers[i].name, driver)) {
			drivers[i].run(&numbers);
			return 0;
		}
	}
	fail("there is no such driver");
}
