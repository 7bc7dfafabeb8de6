// SPDX-License-Identifier: GPL-2.0-only
/*
 * kills NUMBER: writers that are killed at any instant. Every record that one
 * published by write(2), every word that one stored into the mapping, is whole
 * for every tick and every reader; what it announced last is taken within three
 * periods, and the next writer finds nothing of it.
 */
#include "stress.h"

#define WORDS		16
#define BOTH_HALVES	0x100000001ULL
#define PERIOD		MS

struct sample {
	struct rtshm_sample header;
	uint64_t record[WORDS];
};

static uint64_t checked;

static void check_words(const uint64_t *record, bool same, const char *where)
{
	for (int i = 1; i < WORDS; i++) {
		if ((uint32_t)record[i] != record[i] >> 32)
			fail("a torn word %s: %#lx", where, (unsigned long)record[i]);
		if (same && record[i] != record[1])
			fail("a torn record %s", where);
	}
	if (same && record[1] && (uint32_t)record[0] != (uint32_t)record[1])
		fail("a record %s without its word", where);
	/* Value, ready, and the bytes that stay 0. */
	if (record[0] >> 40 || (record[0] >> 32 & 0xff) > 1)
		fail("a torn first word %s: %#lx", where, (unsigned long)record[0]);
	checked++;
}

static void drain(int samples, bool same)
{
	static struct sample buffer[512];
	ssize_t got;

	while ((got = read(samples, buffer, sizeof(buffer))) > 0)
		for (size_t i = 0; i < got / sizeof(*buffer); i++)
			check_words(buffer[i].record, same, "in a sample");
	if (got < 0 && errno != EAGAIN)
		fail("read: %m");
}

static void write_for_ever(const char *path, uint32_t value)
{
	uint64_t record[WORDS];
	int fd = open_or_fail(path, O_RDWR);

	for (;; value++) {
		for (int i = 0; i < WORDS; i++)
			record[i] = value * BOTH_HALVES;
		record[0] = value | 1ULL << 32;
		if (pwrite(fd, record, sizeof(record), 0) != sizeof(record))
			fail("pwrite: %m");
	}
}

static void store_for_ever(const char *path, uint32_t value)
{
	volatile uint64_t *words;
	int fd = open_or_fail(path, O_RDWR);

	words = map_or_fail(fd, PAGE);
	for (;; value++) {
		for (int i = WORDS - 1; i; i--)
			words[i] = value * BOTH_HALVES;
		words[0] = value | 1ULL << 32;
	}
}

struct target {
	const char *name, *path;
	bool same;			/* its records are of write(2) */
	int fd, samples;
};

static void make(struct genl *genl, struct target *target, const char *samples)
{
	must(region_new(genl, &(struct region) {
		.name = target->name, .period_ns = PERIOD, .history = 4096,
		.record_bytes = 8 * WORDS }), "new");
	target->fd = open_or_fail(target->path, O_RDWR);
	target->samples = open_or_fail(samples, O_RDONLY | O_NONBLOCK);
}

/* For how many periods from now on the announcement was still there. */
static uint64_t periods_to_take(struct genl *genl, const struct target *target)
{
	uint64_t from = region_counter(genl, target->name, RTSHM_A_COUNTERS_TICKS);
	uint64_t until = now_ns() + PATIENCE, record[WORDS], now, last = from;

	for (;;) {
		/* First the number: a tick between the two is not held against it. */
		now = region_counter(genl, target->name, RTSHM_A_COUNTERS_TICKS);
		if (pread(target->fd, record, sizeof(record), 0) != sizeof(record))
			fail("pread: %m");
		check_words(record, target->same, "that was read");
		if (!(record[0] >> 32))
			return last - from;
		last = now;
		if (now - from > 3)
			fail("an announcement of a dead writer after %lu ticks",
			     (unsigned long)(now - from));
		if (now_ns() > until)
			fail("no tick");
		pause_ns(PERIOD / 4);
	}
}

void kills(const struct numbers *numbers)
{
	static struct target targets[] = {
		{ "written", STATE("written"), true },
		{ "stored", STATE("stored"), false },
	};
	uint64_t number, longest = 0;
	struct genl genl;

	genl_open(&genl);
	make(&genl, &targets[0], SAMPLES("written"));
	make(&genl, &targets[1], SAMPLES("stored"));
	for (number = 0; number < numbers->at[0]; number++) {
		struct target *target = &targets[number % 2];
		uint64_t until = now_ns() + PATIENCE, zero[WORDS] = {}, word, periods;
		pid_t writer;

		if (pwrite(target->fd, zero, sizeof(zero), 0) != sizeof(zero))
			fail("pwrite: %m");
		writer = fork_child();
		if (!writer) {
			if (target->same)
				write_for_ever(target->path, 1);
			store_for_ever(target->path, 1);
		}
		/* Every other one before it may have begun. */
		if (dice_below(2)) {
			do {
				if (now_ns() > until)
					fail("a writer that does not write");
				if (pread(target->fd, &word, sizeof(word), 0) != sizeof(word))
					fail("pread: %m");
			} while (!word);
		}
		pause_ns(dice_below(2 * MS));
		kill_child(writer);
		periods = periods_to_take(&genl, target);
		if (periods > longest)
			longest = periods;
		drain(target->samples, target->same);
	}
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		close(targets[i].fd);
		close(targets[i].samples);
		if (region_number(&genl, targets[i].name, RTSHM_A_REGION_USERS))
			fail("%s has users that are dead", targets[i].name);
		must(region_delete(&genl, targets[i].name), "delete");
	}
	say("kills", number);
	say("checked", checked);
	say("longest", longest);
}
