// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process on one cpu against the ticks of another, at the same instant: what
 * only cpus that run at once show. Each driver runs for SECONDS, and until it has
 * done what it is for this many times a second that it can find something: a slow
 * kernel on a busy host takes longer.
 */
#include <poll.h>
#include <sys/mman.h>

#include "stress.h"

#define TICKS_CPU	0
#define OWN_CPU		1
#define PERIOD		(50 * 1000ULL)
#define READY		(1ULL << 32)

static void relax(uint64_t times)
{
	while (times--)
		__asm__ volatile("" ::: "memory");
}

static bool goes_on(const struct numbers *numbers, uint64_t begin, uint64_t done,
		    uint64_t least_a_second)
{
	uint64_t seconds = numbers->at[0];

	return now_ns() - begin < seconds * SECOND || done < seconds * least_a_second;
}

/* A region of this name whose ticks are on TICKS_CPU; this process is not. */
static void region_begin(struct genl *genl, struct region region)
{
	pin(OWN_CPU);
	genl_open(genl);
	region.period_ns = PERIOD;
	region.cpu_plus_1 = TICKS_CPU + 1;
	must(region_new(genl, &region), region.name);
}

static void region_end(struct genl *genl, const char *name)
{
	say("ticks", region_counter(genl, name, RTSHM_A_COUNTERS_TICKS));
	must(region_delete(genl, name), "delete");
}

/* stays SECONDS: a published value stays in the region, whatever a tick does. */
void stays(const struct numbers *numbers)
{
	uint64_t begin = now_ns(), number = 0, taken = 0;
	volatile uint64_t *word;
	struct genl genl;

	region_begin(&genl, (struct region) { .name = "stays" });
	word = map_or_fail(open_or_fail(STATE("stays"), O_RDWR), PAGE);
	while (goes_on(numbers, begin, taken, 1000)) {
		for (int i = 0; i < 10000; i++) {
			taken += number && !(*word & READY);
			*word = (uint32_t)++number | READY;
			/* Until the store is where the tick sees it, and its store here. */
			relax(dice_below(256));
			if ((uint32_t)*word != (uint32_t)number)
				fail("%u was published and %u is there", (uint32_t)number,
				     (uint32_t)*word);
		}
	}
	say("published", number);
	say("taken", taken);
	region_end(&genl, "stays");
}

struct sample {
	struct rtshm_sample header;
	uint64_t word, record;
};

/* Odd values are announced, even ones not, each after it is in the record. */
static void announce_for_ever(void)
{
	volatile uint64_t *memory = map_or_fail(open_or_fail(STATE("announced"), O_RDWR), PAGE);

	pin(OWN_CPU);
	for (uint32_t value = 1;; value += 2) {
		memory[1] = value;
		memory[0] = value | READY;
		relax(dice_below(16));
		memory[0] = value + 1;
		relax(dice_below(16));
	}
}

/*
 * announced SECONDS: an announcement that a tick took is one that was made, and
 * what was stored before it is in the record of its sample.
 */
void announced(const struct numbers *numbers)
{
	uint64_t begin = now_ns(), taken = 0, read_in_all = 0;
	struct sample samples[256];
	struct genl genl;
	pid_t writer;
	int fd;

	region_begin(&genl, (struct region) {
		.name = "announced", .history = 4096, .record_bytes = 16 });
	fd = open_or_fail(SAMPLES("announced"), O_RDONLY);
	writer = fork_child();
	if (!writer)
		announce_for_ever();
	pin(TICKS_CPU);
	while (goes_on(numbers, begin, taken, 100)) {
		ssize_t got = read(fd, samples, sizeof(samples));

		if (got <= 0 || got % sizeof(*samples))
			fail("read: %zd, %m", got);
		for (size_t i = 0; i < got / sizeof(*samples); i++) {
			uint32_t value = samples[i].word, record = samples[i].record;

			read_in_all++;
			if (!(samples[i].header.flags & RTSHM_SAMPLE_ANNOUNCED))
				continue;
			taken++;
			if (!(value & 1))
				fail("%u was taken, which was not announced", value);
			if ((int32_t)(record - value) < 0)
				fail("%u was taken with the record of %u", value, record);
		}
	}
	kill_child(writer);
	say("samples", read_in_all);
	say("taken", taken);
	close(fd);
	region_end(&genl, "announced");
}

/*
 * overtaken SECONDS: samples that a tick overwrites while they are copied out are
 * not given. The copy begins at the oldest, which is overwritten next, and waits
 * for a page of the reader's that is not there yet.
 */
void overtaken(const struct numbers *numbers)
{
	uint64_t begin = now_ns(), reads = 0, last = 0, lost = 0;
	enum { DEPTH = 16 };
	struct sample *samples;
	struct genl genl;
	int fd;

	region_begin(&genl, (struct region) {
		.name = "overtaken", .history = DEPTH, .record_bytes = 16 });
	fd = open_or_fail(SAMPLES("overtaken"), O_RDONLY);
	samples = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (samples == MAP_FAILED)
		fail("mmap: %m");
	for (; goes_on(numbers, begin, lost, 10); reads++) {
		ssize_t got;

		/* The ring is full then, unless this machine left out ticks. */
		spin_ns(2 * DEPTH * PERIOD + dice_below(PERIOD));
		madvise(samples, PAGE, MADV_DONTNEED);
		got = read(fd, samples, DEPTH * sizeof(*samples));
		if (got <= 0 || got % sizeof(*samples))
			fail("read: %zd, %m", got);
		lost += samples[0].header.tick - last - 1;
		for (size_t i = 0; i < got / sizeof(*samples); i++) {
			uint64_t tick = samples[i].header.tick;

			if (i ? tick != last + 1 : tick <= last)
				fail("tick %lu comes after tick %lu", (unsigned long)tick,
				     (unsigned long)last);
			last = tick;
		}
	}
	say("reads", reads);
	say("lost", lost);
	close(fd);
	region_end(&genl, "overtaken");
}

/* relax() in a second. */
static uint64_t relax_rate(void)
{
	enum { TIMES = 20000000 };
	uint64_t begin = now_ns();

	relax(TIMES);
	return TIMES * SECOND / (now_ns() - begin);
}

/*
 * Regions that tick one after the other, each so seldom that the next tick, which
 * would wake a poller whom this one forgot, is told from a busy host.
 */
#define POLLED		200
#define POLLED_PERIOD	(2 * SECOND)
#define POLLED_STEP	(POLLED_PERIOD / POLLED)

struct polled {
	int fd;
	volatile uint64_t *word;
};

static void polled_begin(struct genl *genl, struct polled *regions)
{
	char name[32], path[64];

	for (int i = 0; i < POLLED; i++) {
		snprintf(name, sizeof(name), "handshake%d", i);
		snprintf(path, sizeof(path), "/dev/rtshm/%s", name);
		must(region_new(genl, &(struct region) {
			.name = name, .period_ns = POLLED_PERIOD, .phase_ns = i * POLLED_STEP,
			.cpu_plus_1 = TICKS_CPU + 1 }), "new");
		regions[i].fd = open_or_fail(path, O_RDWR);
		regions[i].word = map_or_fail(regions[i].fd, PAGE);
	}
}

static void polled_end(struct genl *genl)
{
	char name[32];

	for (int i = 0; i < POLLED; i++) {
		snprintf(name, sizeof(name), "handshake%d", i);
		must(region_delete(genl, name), "delete");
	}
}

/* How long after it is due a tick takes, which is found by trying. */
struct aim {
	int64_t ns, step_ns;
	bool before;
};

static bool aim_again(struct aim *aim, bool before)
{
	if (before == aim->before)
		aim->step_ns = aim->step_ns < 500000 ? 2 * aim->step_ns : 1000000;
	else
		aim->step_ns = aim->step_ns > 1000 ? aim->step_ns / 4 : 250;
	aim->ns += before ? aim->step_ns : -aim->step_ns;
	aim->before = before;
	return before;
}

/*
 * handshake SECONDS: a poller that looks at the word when the tick takes it is
 * woken by this tick.
 */
void handshake(const struct numbers *numbers)
{
	uint64_t start, now, polls = 0, before = 0, late = 0;
	uint64_t rate = relax_rate();
	struct aim aim = { .step_ns = 1000 };
	struct polled regions[POLLED];
	struct genl genl;

	pin(OWN_CPU);
	genl_open(&genl);
	polled_begin(&genl, regions);
	/* The look is to be now before the tick, now after it. */
	for (start = now_ns();
	     goes_on(numbers, start, before < polls / 2 ? before : polls - before, 1);) {
		uint64_t step = (now_ns() + MS) / POLLED_STEP + 1;
		struct polled *region = &regions[step % POLLED];
		uint64_t begin = step * POLLED_STEP + aim.ns - dice_below(10000);
		struct pollfd poller = { .fd = region->fd, .events = POLLOUT };

		*region->word = READY;
		/* Not if the tick may have been before. */
		if (now_ns() >= step * POLLED_STEP) {
			late++;
			continue;
		}
		while ((now = now_ns()) + 50000 < begin)
			;
		if (now < begin)
			relax((begin - now) * rate / SECOND);
		before += aim_again(&aim, *region->word & READY);
		/* Not before the next tick is due: a busy host may be late, too. */
		if (poll(&poller, 1, -1) != 1 ||
		    now_ns() > step * POLLED_STEP + POLLED_PERIOD)
			fail("a poller slept on when the tick had taken the announcement");
		polls++;
	}
	polled_end(&genl);
	say("polls", polls);
	say("before", before);
	say("late", late);
}
