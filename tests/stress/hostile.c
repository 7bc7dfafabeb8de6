// SPDX-License-Identifier: GPL-2.0-only
/*
 * hostile SECONDS: a writer that fills a region with anything, as fast as it
 * can, by stores and by write(2), under a timer of 1 kHz that records all of it.
 * The other regions keep every byte and every period, and who asks is
 * answered.
 *
 * storm SECONDS REGIONS PERIOD_NS: so many timers; who asks is answered within a
 * second, with one exception in a hundred.
 */
#include <signal.h>
#include <sys/mman.h>

#include "stress.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE)

static void write_anything(const char *path)
{
	int fd = open_or_fail(path, O_RDWR);
	volatile uint64_t *words = map_or_fail(fd, SIZE);
	static char buffer[PAGE_MAX];

	for (;;) {
		uint64_t some = dice();

		for (int i = 0; i < 4096; i++) {
			some = some * 0x5851f42d4c957f2dULL + 1442695040888963407ULL;
			/* Every other store is of the word that the tick takes. */
			words[i & 1 ? 0 : (some >> 33) % (SIZE / 8)] = some;
			((volatile char *)words)[(some >> 20) % SIZE] = some;
		}
		memcpy(buffer, &some, sizeof(some));
		if (pwrite(fd, buffer, 1 + dice_below(PAGE), dice_below(SIZE - PAGE)) < 0)
			fail("pwrite: %m");
	}
}

static void read_anything(const char *path)
{
	static char buffer[64 << 10];
	int fd = open_or_fail(path, O_RDONLY);
	uint64_t last = 0;

	for (;;) {
		ssize_t got = read(fd, buffer, sizeof(buffer));

		if (got <= 0)
			fail("read: %m");
		for (char *at = buffer; at < buffer + got;
		     at += sizeof(struct rtshm_sample) + 512) {
			struct rtshm_sample *sample = (struct rtshm_sample *)at;

			if (sample->tick <= last || sample->flags > RTSHM_SAMPLE_ANNOUNCED)
				fail("tick %lu after tick %lu, flags %#x",
				     (unsigned long)sample->tick, (unsigned long)last,
				     sample->flags);
			last = sample->tick;
		}
	}
}

static const char *const beside[] = { "before", "after" };

void hostile(const struct numbers *numbers)
{
	uint64_t began, counted, periods, asked = 0, until;
	char pattern[SIZE], now[SIZE], path[32];
	pid_t writers[2], reader;
	struct genl genl;
	int fds[2];

	genl_open(&genl);
	/* Their memory is around that of the one that is written to. */
	for (int i = 0; i < 2; i++) {
		must(region_new(&genl, &(struct region) {
			.name = beside[i], .size = SIZE, .period_ns = MS }), "new");
		if (!i)
			must(region_new(&genl, &(struct region) {
				.name = "hostile", .size = SIZE, .period_ns = MS,
				.history = 64, .record_bytes = 512, .print_plus_1 = 1 }), "new");
		snprintf(path, sizeof(path), "/dev/rtshm/%s", beside[i]);
		fds[i] = open_or_fail(path, O_RDWR);
	}
	for (size_t i = 0; i < SIZE; i++)
		pattern[i] = i % 251;
	memset(pattern, 0, 8);
	for (int i = 0; i < 2; i++)
		for (size_t at = 0; at < SIZE; at += PAGE)
			if (pwrite(fds[i], pattern + at, PAGE, at) != PAGE)
				fail("pwrite: %m");
	for (int i = 0; i < 2; i++) {
		writers[i] = fork_child();
		if (!writers[i])
			write_anything(STATE("hostile"));
	}
	reader = fork_child();
	if (!reader)
		read_anything(SAMPLES("hostile"));

	began = now_ns();
	counted = region_periods(&genl, "hostile");
	until = now_ns() + numbers->at[0] * SECOND;
	for (; now_ns() < until; asked++) {
		must(region_get(&genl, "hostile"), "get");
		pause_ns(20 * MS);
	}
	/* Every period since is a tick or missed, as soon as the next tick counts it. */
	periods = (now_ns() - began) / MS;
	until = now_ns() + PATIENCE;
	while (region_periods(&genl, "hostile") - counted < periods) {
		if (now_ns() > until)
			fail("%lu periods in %lu ms",
			     (unsigned long)(region_periods(&genl, "hostile") - counted),
			     (unsigned long)periods);
		pause_ns(MS);
	}
	for (int i = 0; i < 2; i++)
		kill_child(writers[i]);
	kill_child(reader);
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < SIZE; at += PAGE)
			if (pread(fds[i], now + at, PAGE, at) != PAGE)
				fail("pread: %m");
		if (memcmp(now, pattern, SIZE))
			fail("%s has changed", beside[i]);
		close(fds[i]);
		must(region_delete(&genl, beside[i]), "delete");
	}
	must(region_delete(&genl, "hostile"), "delete");
	say("periods", periods);
	say("asked", asked);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void storm(const struct numbers *numbers)
{
	static uint64_t times[100000];
	uint64_t asked = 0, ticks = 0, until;
	char name[16];
	struct genl genl;

	genl_open(&genl);
	for (uint64_t i = 0; i < numbers->at[1]; i++) {
		snprintf(name, sizeof(name), "storm%d", (int)i);
		must(region_new(&genl, &(struct region) {
			.name = name, .period_ns = numbers->at[2], .history = 64 }), "new");
	}
	until = now_ns() + numbers->at[0] * SECOND;
	while (now_ns() < until && asked < ARRAY_SIZE(times)) {
		uint64_t began = now_ns();

		must(region_get(&genl, "storm0"), "get");
		times[asked++] = now_ns() - began;
		pause_ns(MS);
	}
	for (uint64_t i = 0; i < numbers->at[1]; i++) {
		uint64_t own;

		snprintf(name, sizeof(name), "storm%d", (int)i);
		own = region_counter(&genl, name, RTSHM_A_COUNTERS_TICKS);
		if (!own)
			fail("%s never ticked", name);
		ticks += own;
		must(region_delete(&genl, name), "delete");
	}
	qsort(times, asked, sizeof(*times), by_number);
	if (times[asked * 99 / 100] > SECOND)
		fail("1 request in 100 took longer than %lu ms",
		     (unsigned long)(times[asked * 99 / 100] / MS));
	say("asked", asked);
	say("p99_us", times[asked * 99 / 100] / 1000);
	say("ticks", ticks);
}
