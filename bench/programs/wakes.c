// SPDX-License-Identifier: GPL-2.0-only
/*
 * wakes WAY PERIOD_NS COUNT PRIORITY HOG [NODE]: wakes COUNT times, by WAY:
 *
 *   nanosleep, timerfd    a timer of the kernel's own, every PERIOD_NS
 *   read, poll, epoll     the ticks of a region, of whose samples NODE is the device
 *
 * The process has SCHED_FIFO of PRIORITY. With a HOG above 0, another process computes
 * with SCHED_FIFO of that priority all the while. Writes two numbers of 64 bits for each
 * wake: the ns since it was due, and since the tick ran, to the first thing that the
 * process did; the second is 0 without a tick.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/rtshm.h>

#include "../../tests/lib/streams.h"

#define SECOND_NS	1000000000ULL

/* When in a period all ways are due: apart from the ticks of the scheduler. */
#define PHASE_NS	300000ULL

struct wake {
	uint64_t	from_due_ns;
	uint64_t	from_tick_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "wakes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static struct timespec at(uint64_t ns)
{
	return (struct timespec){ .tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS };
}

static uint64_t first_due_ns(uint64_t period_ns)
{
	return (now_ns() / period_ns + 2) * period_ns + PHASE_NS;
}

static void be_fifo(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		die("sched_setscheduler");
}

static void by_nanosleep(struct wake *wakes, int count, uint64_t period_ns)
{
	uint64_t due_ns = first_due_ns(period_ns);
	int i;

	for (i = 0; i < count; i++, due_ns += period_ns) {
		struct timespec until = at(due_ns);

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		wakes[i].from_due_ns = now_ns() - due_ns;
	}
}

static void by_timerfd(struct wake *wakes, int count, uint64_t period_ns)
{
	uint64_t due_ns = first_due_ns(period_ns), over;
	struct itimerspec timer = { .it_value = at(due_ns), .it_interval = at(period_ns) };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), i;

	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, NULL))
		die("timerfd");
	for (i = 0; i < count; i++) {
		if (read(fd, &over, sizeof(over)) != sizeof(over))
			die("timerfd");
		due_ns += over * period_ns;
		wakes[i].from_due_ns = now_ns() - due_ns + period_ns;
	}
}

/* Waits by poll or epoll until there is a sample; reading waits by itself. */
static void wait_for_sample(int fd, int epoll)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	struct epoll_event event;

	if (epoll < 0 ? poll(&polled, 1, -1) != 1 : epoll_wait(epoll, &event, 1, -1) != 1)
		die("poll");
}

static void by_region(struct wake *wakes, int count, const char *node, const char *way)
{
	bool reads = !strcmp(way, "read");
	int fd = open(node, O_RDONLY), epoll = -1, i;
	struct epoll_event event = { .events = EPOLLIN };
	union {
		struct rtshm_sample	sample;
		char			bytes[sizeof(struct rtshm_sample) + 8];
	} got;
	uint64_t woken_ns;

	if (fd < 0)
		die(node);
	if (!strcmp(way, "epoll")) {
		epoll = epoll_create1(0);
		if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			die("epoll");
	}
	for (i = 0; i < count; i++) {
		if (!reads)
			wait_for_sample(fd, epoll);
		woken_ns = now_ns();
		if (read(fd, &got, sizeof(got)) != sizeof(got))
			die("read");
		if (reads)
			woken_ns = now_ns();
		wakes[i].from_tick_ns = woken_ns - got.sample.time_ns;
		wakes[i].from_due_ns = wakes[i].from_tick_ns + got.sample.lateness_ns;
	}
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	uint64_t period_ns = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int count = argc > 3 ? atoi(argv[3]) : 0;
	int hog = argc > 5 ? atoi(argv[5]) : 0;
	struct wake *wakes;
	pid_t child = 0;

	open_streams();
	if (argc < 6 || !period_ns || count < 1) {
		fprintf(stderr, "wakes WAY PERIOD_NS COUNT PRIORITY HOG [NODE]\n");
		return 2;
	}
	wakes = calloc(count, sizeof(*wakes));
	if (!wakes || mlockall(MCL_CURRENT | MCL_FUTURE))
		die("memory");
	be_fifo(atoi(argv[4]));
	if (hog) {
		child = fork();
		if (child < 0)
			die("fork");
		if (!child) {
			be_fifo(hog);
			for (;;)
				;
		}
	}
	if (!strcmp(way, "nanosleep"))
		by_nanosleep(wakes, count, period_ns);
	else if (!strcmp(way, "timerfd"))
		by_timerfd(wakes, count, period_ns);
	else
		by_region(wakes, count, argc > 6 ? argv[6] : "", way);
	if (child) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return fwrite(wakes, sizeof(*wakes), count, stdout) != (size_t)count;
}
