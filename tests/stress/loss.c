// SPDX-License-Identifier: GPL-2.0-only
/*
 * loss SAMPLES HZ DEPTH: eight regions that record at this rate, each with a
 * writer and with two readers that stall at random, until this many samples were
 * read. What a reader got and the gaps between are all the ticks that there were:
 * nothing lost that the tick numbers do not show, nothing given twice.
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "stress.h"

#define REGIONS		8
#define READERS		2
#define WORDS		4
#define BOTH_HALVES	0x100000001ULL

struct sample {
	struct rtshm_sample header;
	uint64_t record[WORDS];
};

_Static_assert(sizeof(struct sample) == sizeof(struct rtshm_sample) + 8 * WORDS, "padding");

static struct shared {
	_Atomic uint64_t read, lost, gaps, stop, ended;
} *shared;

struct reader {
	uint64_t period_ns;
	uint64_t first, last, due_ns;
	uint64_t read, lost, gaps;
	uint32_t value;
};

static void check(struct reader *reader, const struct sample *sample, bool begins)
{
	const struct rtshm_sample *header = &sample->header;
	uint64_t due_ns = header->time_ns - header->lateness_ns;
	uint32_t value = sample->record[1];

	if (!reader->last) {
		reader->first = header->tick;
	} else if (header->tick <= reader->last) {
		fail("tick %lu after tick %lu", (unsigned long)header->tick,
		     (unsigned long)reader->last);
	} else if (header->tick > reader->last + 1) {
		if (!begins)
			fail("a gap inside of a read, before tick %lu",
			     (unsigned long)header->tick);
		reader->lost += header->tick - reader->last - 1;
		reader->gaps++;
	} else if (due_ns != reader->due_ns + (header->missed + 1) * reader->period_ns) {
		fail("tick %lu is due %lu ns after the one before, with %u missed",
		     (unsigned long)header->tick,
		     (unsigned long)(due_ns - reader->due_ns), header->missed);
	}
	/* Each record is one write(2): whole, and never older than the one before. */
	for (int i = 2; i < WORDS; i++)
		if (sample->record[i] != sample->record[1])
			fail("a torn record at tick %lu", (unsigned long)header->tick);
	if (sample->record[1] != value * BOTH_HALVES)
		fail("a torn word at tick %lu", (unsigned long)header->tick);
	if (value < reader->value)
		fail("an older record at tick %lu", (unsigned long)header->tick);
	reader->value = value;
	reader->last = header->tick;
	reader->due_ns = due_ns;
	reader->read++;
}

static void stall(void)
{
	switch (dice_below(8)) {
	case 0:
		pause_ns(dice_below(300 * MS));
		break;
	case 1:
		pause_ns(dice_below(20 * MS));
	}
}

/* To the end that comes after the region is deleted. */
static void read_all(const char *path, uint64_t period_ns)
{
	static struct sample samples[1024];
	struct reader reader = { .period_ns = period_ns };
	int fd = open_or_fail(path, O_RDONLY);

	for (;;) {
		size_t room = 1 + dice_below(ARRAY_SIZE(samples));
		ssize_t got = read(fd, samples, room * sizeof(*samples));
		size_t count = got / sizeof(*samples);

		if (got < 0 || got % sizeof(*samples))
			fail("read: %zd, %m", got);
		if (!got)
			break;
		for (size_t i = 0; i < count; i++)
			check(&reader, &samples[i], !i);
		shared->read += count;
		stall();
	}
	if (reader.last - reader.first + 1 != reader.read + reader.lost)
		fail("%lu ticks, %lu read and %lu lost",
		     (unsigned long)(reader.last - reader.first + 1),
		     (unsigned long)reader.read, (unsigned long)reader.lost);
	shared->lost += reader.lost;
	shared->gaps += reader.gaps;
	/* The last tick there was: every reader has it. */
	shared->ended += reader.last;
}

static void write_all(const char *path)
{
	uint64_t record[WORDS];
	int fd = open_or_fail(path, O_WRONLY);

	for (uint32_t value = 1; !shared->stop; value++) {
		for (int i = 0; i < WORDS; i++)
			record[i] = value * BOTH_HALVES;
		record[0] = value | 1ULL << 32;
		if (pwrite(fd, record, sizeof(record), 0) != sizeof(record))
			fail("pwrite: %m");
		pause_ns(dice_below(4 * MS));
	}
}

void loss(const struct numbers *numbers)
{
	uint64_t period_ns = SECOND / numbers->at[1], ticks = 0, until;
	pid_t readers[REGIONS][READERS], writers[REGIONS];
	struct genl genl;

	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap: %m");
	genl_open(&genl);
	for (int i = 0; i < REGIONS; i++) {
		char name[16], state[32], samples[48];

		snprintf(name, sizeof(name), "loss%d", i);
		snprintf(state, sizeof(state), "/dev/rtshm/%s", name);
		snprintf(samples, sizeof(samples), "%s.samples", state);
		must(region_new(&genl, &(struct region) {
			.name = name, .period_ns = period_ns,
			.history = numbers->at[2], .record_bytes = 8 * WORDS }), "new");
		for (int j = 0; j < READERS; j++) {
			readers[i][j] = fork_child();
			if (!readers[i][j]) {
				read_all(samples, period_ns);
				exit(0);
			}
		}
		writers[i] = fork_child();
		if (!writers[i]) {
			write_all(state);
			exit(0);
		}
	}
	until = now_ns() + 300 * SECOND;
	while (shared->read < numbers->at[0]) {
		if (now_ns() > until)
			fail("%lu samples read in 300 s", (unsigned long)shared->read);
		pause_ns(10 * MS);
	}
	shared->stop = 1;
	for (int i = 0; i < REGIONS; i++)
		wait_child(writers[i]);
	for (int i = 0; i < REGIONS; i++) {
		uint64_t before = shared->ended, last;
		char name[16];

		snprintf(name, sizeof(name), "loss%d", i);
		/* A node in hand: the number of ticks is final once it is deleted. */
		must(region_delete(&genl, name), "delete");
		for (int j = 0; j < READERS; j++)
			wait_child(readers[i][j]);
		last = shared->ended - before;
		if (last % READERS)
			fail("the readers of %s do not end with the same tick", name);
		ticks += last / READERS;
	}
	say("ticks", ticks);
	say("read", shared->read);
	say("lost", shared->lost);
	say("gaps", shared->gaps);
}
