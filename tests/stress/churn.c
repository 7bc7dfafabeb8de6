// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions that come and go: under their timers, under dumps, under mappings that
 * go on, under pollers; and what is in their memory when they come.
 */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "stress.h"

/* For a list that does not fit into one datagram. */
#define STAY	48

struct dumped {
	int seen[STAY], others;
	uint64_t last_id;
};

static void see(const struct message *message, void *data)
{
	const char *name = message_text(message, RTSHM_A_REGION_NAME);
	uint64_t id = message_number(message, RTSHM_A_REGION_ID);
	struct dumped *dumped = data;
	int number;

	if (id <= dumped->last_id)
		fail("%s has id %lu after %lu", name, (unsigned long)id,
		     (unsigned long)dumped->last_id);
	dumped->last_id = id;
	if (sscanf(name, "stay%d", &number) == 1)
		dumped->seen[number]++;
	else
		dumped->others++;
}

/* Dump after dump; what is there all the time is in each of them once. */
static void dump_for_ever(uint64_t *counters)
{
	struct genl genl;

	genl_open(&genl);
	for (;;) {
		struct dumped dumped = {};

		genl.each = see;
		genl.data = &dumped;
		must(region_dump(&genl), "dump");
		for (int i = 0; i < STAY; i++)
			if (dumped.seen[i] != 1)
				fail("a dump has region %d %d times", i, dumped.seen[i]);
		__atomic_add_fetch(&counters[0], 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&counters[1], genl.interrupted, __ATOMIC_RELAXED);
	}
}

/*
 * churn NUMBER DUMPS: make a region whose timer goes off at once and every
 * 100 us, remove it; until both numbers, of regions and of dumps, are reached.
 */
void churn(const struct numbers *numbers)
{
	uint64_t number, *counters;
	char name[32];
	struct genl genl;
	pid_t dumper;

	counters = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED)
		fail("mmap: %m");
	genl_open(&genl);
	for (int i = 0; i < STAY; i++) {
		snprintf(name, sizeof(name), "stay%d", i);
		must(region_new(&genl, &(struct region) {
			.name = name, .period_ns = HOUR }), "new");
	}
	dumper = fork_child();
	if (!dumper)
		dump_for_ever(counters);
	for (number = 0; number < numbers->at[0] ||
	     __atomic_load_n(&counters[0], __ATOMIC_RELAXED) < numbers->at[1]; number++) {
		must(region_new(&genl, &(struct region) {
			.name = "churn", .period_ns = 100000,
			.history = number % 4 ? 0 : 16, .cpu_plus_1 = number % 3 }), "new");
		if (number % 2)
			spin_ns(dice_below(300000));
		must(region_delete(&genl, "churn"), "delete");
	}
	kill_child(dumper);
	for (int i = 0; i < STAY; i++) {
		snprintf(name, sizeof(name), "stay%d", i);
		must(region_delete(&genl, name), "delete");
	}
	say("deletes", number);
	say("dumps", counters[0]);
	say("interrupted", counters[1]);
}

/*
 * deleted NUMBER STORES: a region that is deleted while it is mapped, so many
 * stores after it, another region of the name meanwhile: neither sees the other.
 */
void deleted(const struct numbers *numbers)
{
	uint64_t number, stores = 0;
	struct genl genl;

	genl_open(&genl);
	for (number = 0; number < numbers->at[0]; number++) {
		struct region region = {
			.name = "deleted", .size = 2 * PAGE, .period_ns = 100000,
		};
		volatile uint64_t *old, *now;
		int fd, other;

		must(region_new(&genl, &region), "new");
		fd = open_or_fail(STATE("deleted"), O_RDWR);
		old = map_or_fail(fd, 2 * PAGE);
		must(region_delete(&genl, "deleted"), "delete");
		must(region_new(&genl, &region), "new of the same name");
		other = open_or_fail(STATE("deleted"), O_RDWR);
		now = map_or_fail(other, 2 * PAGE);
		/* Half of the time its only hold is the mapping. */
		if (number % 2)
			close(fd);
		for (uint64_t i = 0; i < numbers->at[1]; i++, stores++)
			old[1 + i % (2 * PAGE / sizeof(*old) - 1)] = ~i;
		for (size_t i = 0; i < 2 * PAGE / sizeof(*now); i++)
			if (now[i])
				fail("the new region has word %zu of the old one", i);
		munmap((void *)old, 2 * PAGE);
		if (!(number % 2))
			close(fd);
		munmap((void *)now, 2 * PAGE);
		close(other);
		must(region_delete(&genl, "deleted"), "delete");
	}
	say("deletes", number);
	say("stores", stores);
}

static void poll_to_the_end(int fd, int result)
{
	short end = POLLHUP | POLLERR;
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	uint64_t until = now_ns() + PATIENCE;

	while (!(poller.revents & end)) {
		/* An announcement, so that there is something to wait for. */
		if (pwrite(fd, "\1\0\0\0\1\0\0\0", 8, 0) != 8)
			fail("pwrite: %m");
		if (poll(&poller, 1, PATIENCE / MS) != 1 || now_ns() > until)
			fail("poll does not see the end");
	}
	if (write(result, "p", 1) != 1)
		fail("pipe: %m");
	exit(0);
}

static void epoll_to_the_end(int fd, int result, int flags)
{
	struct epoll_event event = { .events = EPOLLOUT | flags }, got = {};
	uint64_t until = now_ns() + PATIENCE;
	int epoll = epoll_create1(0);

	while (!(got.events & EPOLLHUP)) {
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			fail("EPOLL_CTL_ADD: %m");
		if (pwrite(fd, "\1\0\0\0\1\0\0\0", 8, 0) != 8)
			fail("pwrite: %m");
		if (epoll_wait(epoll, &got, 1, PATIENCE / MS) != 1 || now_ns() > until)
			fail("epoll does not see the end");
		if (epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL))
			fail("EPOLL_CTL_DEL: %m");
	}
	if (write(result, "e", 1) != 1)
		fail("pipe: %m");
	exit(0);
}

/* polled NUMBER: who polls or comes and goes with epoll is told of the delete. */
void polled(const struct numbers *numbers)
{
	uint64_t number, told = 0;
	struct genl genl;
	int results[2];

	if (pipe(results))
		fail("pipe: %m");
	genl_open(&genl);
	for (number = 0; number < numbers->at[0]; number++) {
		pid_t pids[3];
		int fd;

		must(region_new(&genl, &(struct region) {
			.name = "polled", .period_ns = number % 2 ? 200000 : HOUR }), "new");
		fd = open_or_fail(STATE("polled"), O_RDWR);
		for (int i = 0; i < 3; i++) {
			pids[i] = fork_child();
			if (pids[i])
				continue;
			if (!i)
				poll_to_the_end(fd, results[1]);
			epoll_to_the_end(fd, results[1], i == 1 ? 0 : EPOLLET);
		}
		pause_ns(dice_below(6 * MS));
		must(region_delete(&genl, "polled"), "delete");
		close(fd);
		for (int i = 0; i < 3; i++) {
			char byte;

			if (read(results[0], &byte, 1) != 1)
				fail("pipe: %m");
			told++;
			wait_child(pids[i]);
		}
	}
	say("deletes", number);
	say("told", told);
}

/* zeroed NUMBER: new regions after much memory was written to and given back. */
void zeroed(const struct numbers *numbers)
{
	size_t dirty = 64 << 20, bytes = 0;
	uint64_t number;
	struct genl genl;

	genl_open(&genl);
	for (number = 0; number < numbers->at[0]; number++) {
		size_t size = (1 + dice_below(16)) * PAGE;
		const uint64_t *words;
		void *memory;
		int fd;

		if (number % 100 == 0) {
			memory = mmap(NULL, dirty, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (memory == MAP_FAILED)
				fail("mmap: %m");
			memset(memory, 0xa5, dirty);
			munmap(memory, dirty);
		}
		must(region_new(&genl, &(struct region) {
			.name = "zeroed", .size = size, .period_ns = HOUR }), "new");
		fd = open_or_fail(STATE("zeroed"), O_RDWR);
		words = memory = map_or_fail(fd, size);
		for (size_t i = 0; i < size / sizeof(*words); i++)
			if (words[i])
				fail("byte %zu of a new region is %#lx", i * 8,
				     (unsigned long)words[i]);
		/* For the next one to find, should it be so. */
		memset(memory, 0x5a, size);
		munmap(memory, size);
		close(fd);
		must(region_delete(&genl, "zeroed"), "delete");
		bytes += size;
	}
	say("regions", number);
	say("bytes", bytes);
}
