// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the deadline of a tick to the first instruction of the thread that it wakes,
 * at SCHED_FIFO 90: wakes WAY PERIOD_NS COUNT HOG_PRIORITY [NODE]
 *
 * WAY is read, poll or epoll, of the samples at NODE; or nanosleep, which has no node:
 * what the same thread has by clock_nanosleep(). With HOG_PRIORITY > 0 another thread
 * computes meanwhile, 8 ms of 10, at that priority and on the same cpu. Prints the
 * number of wakes and the median, 99th percentile and maximum in ns.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/rtshm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/streams.h"

#define SECOND_NS	1000000000LL
#define SAMPLES_MAX	1024

static const char *way, *node;
static long long period_ns;
static long count;
static long long *late_ns;
static long wakes;
static volatile bool done;

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(long long when_ns)
{
	struct timespec when = { when_ns / SECOND_NS, when_ns % SECOND_NS };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static void be(int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) ||
	    sched_setscheduler(0, SCHED_FIFO, &param))
		err(1, "priority %d on cpu 0", priority);
}

static void *hog(void *priority)
{
	be(*(int *)priority);
	for (long long at = now_ns(); !done; at += 10000000) {
		while (now_ns() < at + 8000000 && !done)
			;
		sleep_until(at + 10000000);
	}
	return NULL;
}

static void *sleeper(void *unused)
{
	(void)unused;
	be(90);
	for (long long due = now_ns() + period_ns; wakes < count; due += period_ns) {
		sleep_until(due);
		late_ns[wakes++] = now_ns() - due;
	}
	return NULL;
}

/* The last of the samples that one read gives is the one that woke. */
static void *reader(void *unused)
{
	struct stride { struct rtshm_sample sample; __u64 word; };
	static struct stride samples[SAMPLES_MAX];
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd pollfd = { .events = POLLIN };
	int epoll = epoll_create1(0);
	long long now;
	ssize_t got;

	(void)unused;
	be(90);
	pollfd.fd = open(node, O_RDONLY);
	if (pollfd.fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, pollfd.fd, &event))
		err(1, "%s", node);
	for (long long ticks = 0; ticks < count; ticks += got) {
		if (!strcmp(way, "poll"))
			poll(&pollfd, 1, -1);
		else if (!strcmp(way, "epoll"))
			epoll_wait(epoll, &event, 1, -1);
		now = now_ns();
		got = read(pollfd.fd, samples, sizeof(samples));
		if (!strcmp(way, "read"))
			now = now_ns();
		if (got <= 0)
			err(1, "read");
		got /= sizeof(*samples);
		const struct rtshm_sample *last = &samples[got - 1].sample;

		late_ns[wakes++] = now - (long long)(last->time_ns - last->lateness_ns);
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	long long left = *(const long long *)a, right = *(const long long *)b;

	return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
	pthread_t waiting, hogging;
	int priority;

	open_streams();
	if (argc < 5)
		errx(1, "wakes WAY PERIOD_NS COUNT HOG_PRIORITY [NODE]");
	way = argv[1];
	period_ns = atoll(argv[2]);
	count = atol(argv[3]);
	priority = atoi(argv[4]);
	node = argv[5];
	late_ns = calloc(count, sizeof(*late_ns));
	if (!late_ns || mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "memory");
	if (pthread_create(&waiting, NULL, node ? reader : sleeper, NULL) ||
	    (priority && pthread_create(&hogging, NULL, hog, &priority)))
		errx(1, "threads");
	pthread_join(waiting, NULL);
	done = true;
	if (priority)
		pthread_join(hogging, NULL);
	qsort(late_ns, wakes, sizeof(*late_ns), ascending);
	printf("%ld %lld %lld %lld\n", wakes, late_ns[wakes / 2],
	       late_ns[wakes * 99 / 100], late_ns[wakes - 1]);
	return 0;
}
