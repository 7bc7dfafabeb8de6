// SPDX-License-Identifier: GPL-2.0-only
/*
 * The periodic task of a region.
 *
 * rtshm_tick() runs in hard interrupt context, on PREEMPT_RT too: constant
 * time, raw locks only, no allocation, no wake-up, no printing. What may sleep
 * or take long is left to rtshm_report(), an irq_work: interrupt context on
 * ordinary kernels, a thread on PREEMPT_RT.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/poll.h>

#include "rtshm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Lines in the log, a region, a second. */
#define RTSHM_PRINT_BURST	10

union rtshm_word_bits {
	struct rtshm_word	word;
	u64			bits;
};

static_assert(sizeof(struct rtshm_word) == sizeof(u64));
static_assert(offsetof(struct rtshm_word, some_int) == 0);
static_assert(offsetof(struct rtshm_word, ready) == 4);

/* Any context. Is there an announcement that no tick has taken yet? */
bool rtshm_announced(const struct rtshm_region *region)
{
	union rtshm_word_bits now = { .bits = rtshm_load(rtshm_word(region)) };

	return now.word.ready;
}

/*
 * Hard interrupt, region->lock held. The word as this tick saw it, with ready
 * as this tick leaves it; true when the announcement in it was taken. One
 * attempt: against a writer that comes in between, the newer announcement
 * stays, and the next tick has it.
 */
static bool rtshm_take(struct rtshm_region *region, struct rtshm_word *word)
{
	union rtshm_word_bits seen = { .bits = rtshm_load(rtshm_word(region)) };
	union rtshm_word_bits left = seen;
	bool taken = false;

	if (seen.word.ready) {
		left.word.ready = 0;
		taken = rtshm_cmpxchg(rtshm_word(region), seen.bits, left.bits);
	}
	*word = taken ? left.word : seen.word;
	return taken;
}

/*
 * Hard interrupt, after the take. smp_rmb() pairs with smp_mb__after_atomic() in
 * rtshm_state_poll(): a poller that still saw an announcement which is gone
 * from @word is seen as armed here.
 */
static bool rtshm_poller_waits(struct rtshm_region *region,
			       const struct rtshm_word *word, bool taken)
{
	bool armed;

	smp_rmb();	/* the word before the flag: see above */
	armed = !word->ready &&
		test_bit(RTSHM_POLL_ARMED, &region->pending) &&
		test_and_clear_bit(RTSHM_POLL_ARMED, &region->pending);
	/* Edge-triggered epoll asks once, then waits for each take. */
	return armed || (taken && waitqueue_active(&region->taken));
}

/* Hard interrupt: see the head of this file. */
static enum hrtimer_restart rtshm_tick(struct hrtimer *timer)
{
	struct rtshm_region *region = container_of(timer, typeof(*region), timer);
	s64 lateness_ns = ktime_to_ns(ktime_sub(ktime_get(),
						hrtimer_get_expires(timer)));
	bool report = false;
	struct rtshm_word word;
	bool taken;

	scoped_guard(raw_spinlock, &region->lock)
		taken = rtshm_take(region, &word);

	region->ticks++;
	trace_rtshm_tick(dev_name(&region->dev), region->ticks, word.some_int,
			 lateness_ns, taken);

	if (READ_ONCE(region->print)) {
		WRITE_ONCE(region->printed_value, word.some_int);
		/* The line of the tick before is not printed yet: one for both. */
		if (test_and_set_bit(RTSHM_PRINT, &region->pending))
			atomic_inc(&region->withheld);
		report = true;
	}
	if (rtshm_poller_waits(region, &word, taken)) {
		set_bit(RTSHM_WAKE, &region->pending);
		report = true;
	}
	if (report)
		irq_work_queue(&region->report);

	/* Returns the periods gone by, at least the one that ended here. */
	region->missed += hrtimer_forward_now(timer,
				ns_to_ktime(READ_ONCE(region->period_ns))) - 1;
	return HRTIMER_RESTART;
}

static void rtshm_print_withheld(struct rtshm_region *region)
{
	int withheld = atomic_xchg(&region->withheld, 0);

	if (withheld)
		pr_info("%s: %d lines withheld\n", dev_name(&region->dev), withheld);
}

/* irq_work. At most RTSHM_PRINT_BURST lines a second, the rest counted. */
static void rtshm_print(struct rtshm_region *region)
{
	if (!__ratelimit(&region->print_limit)) {
		atomic_inc(&region->withheld);
		return;
	}
	/* The notice is one of the second's lines, or waits for the next. */
	if (atomic_read(&region->withheld) && __ratelimit(&region->print_limit))
		rtshm_print_withheld(region);
	pr_info("%s: shared mem=%d\n", dev_name(&region->dev),
		READ_ONCE(region->printed_value));
}

/* irq_work: wake-ups and printing are allowed here, sleeping is not. */
static void rtshm_report(struct irq_work *work)
{
	struct rtshm_region *region = container_of(work, typeof(*region), report);

	if (test_and_clear_bit(RTSHM_WAKE, &region->pending))
		wake_up_interruptible_poll(&region->taken, EPOLLOUT | EPOLLWRNORM);
	if (test_and_clear_bit(RTSHM_PRINT, &region->pending))
		rtshm_print(region);
}

void rtshm_tick_init(struct rtshm_region *region)
{
	raw_spin_lock_init(&region->lock);
	init_waitqueue_head(&region->taken);
	init_irq_work(&region->report, rtshm_report);
	ratelimit_state_init(&region->print_limit, HZ, RTSHM_PRINT_BURST);
	/* The region counts what it withholds: no notice of the library's own. */
	ratelimit_set_flags(&region->print_limit, RATELIMIT_MSG_ON_RELEASE);
	hrtimer_setup(&region->timer, rtshm_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_HARD);
}

/* The first tick is now, the others follow on its grid. */
void rtshm_tick_start(struct rtshm_region *region)
{
	hrtimer_start(&region->timer, ktime_get(), HRTIMER_MODE_ABS_HARD);
}

/* Process context. */
void rtshm_tick_set_print(struct rtshm_region *region, bool on)
{
	WRITE_ONCE(region->print, on);
	/* What was withheld before is told now, not when printing goes on. */
	if (!on)
		rtshm_print_withheld(region);
}

/*
 * Process context, no lock held that a tick takes. The timer first, since only
 * a tick queues the irq_work; after both, nothing of the region runs, and each
 * period since the start is either a tick or missed.
 */
void rtshm_tick_stop(struct rtshm_region *region)
{
	hrtimer_cancel(&region->timer);
	region->missed += hrtimer_forward_now(&region->timer,
					      ns_to_ktime(region->period_ns));
	irq_work_sync(&region->report);
	rtshm_print_withheld(region);
}
