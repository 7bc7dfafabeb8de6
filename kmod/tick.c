// SPDX-License-Identifier: GPL-2.0-only
/*
 * The periodic task of a region.
 *
 * rtshm_tick() runs in hard interrupt context, on PREEMPT_RT too: constant
 * time after the region's lead, raw locks only, no allocation, no printing. It
 * wakes at most RTSHM_SLEEPERS_MAX readers and the thread of the region, which
 * does everything that may sleep or take long: see thread.c. A region without a
 * period ticks where it is kicked, with interrupts off.
 */

#include <linux/math64.h>

#include "ring.h"
#include "rtshm.h"
#include "tick.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

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

static bool rtshm_cmpxchg(struct rtshm_region *region, u64 old, u64 new)
{
	return cmpxchg((u64 __force *)rtshm_word(region), old, new) == old;
}

/*
 * Hard interrupt, region->lock held. @seen is the word as this tick saw it;
 * true when the announcement in it was taken. One attempt: against a writer
 * that comes in between, the newer announcement stays, and the next tick has
 * it. The exchange, if it succeeds, pairs with the writer's release, such as that
 * of the client's publish(): what was stored before it, this tick sees.
 */
static bool rtshm_take(struct rtshm_region *region, union rtshm_word_bits *seen)
{
	union rtshm_word_bits left;

	seen->bits = rtshm_load(rtshm_word(region));
	if (!seen->word.ready)
		return false;
	left = *seen;
	left.word.ready = 0;
	return rtshm_cmpxchg(region, seen->bits, left.bits);
}

/*
 * Hard interrupt, after the take. Its compare-and-exchange, or smp_mb(), pairs
 * with smp_mb__after_atomic() in rtshm_state_poll(): a poller that still saw an
 * announcement which is gone by now is seen as armed here.
 */
static bool rtshm_poller_disarm(struct rtshm_region *region, bool ready, bool taken)
{
	bool armed;

	/* Not smp_rmb(): the store that cleared it may not be where the poller looked. */
	if (!ready)
		smp_mb();	/* rtshm_state_poll() */
	armed = (taken || !ready) &&
		test_bit(RTSHM_POLL_ARMED, &region->pending) &&
		test_and_clear_bit(RTSHM_POLL_ARMED, &region->pending);
	/*
	 * Edge-triggered epoll asks once, then waits for each take; the barrier
	 * of waitqueue_active() is poll_wait()'s and the compare-and-exchange's.
	 */
	return armed || (taken && waitqueue_active(&region->state_queue));
}

/* Hard interrupt, region->lock held. */
static void rtshm_count(struct rtshm_region *region, u64 lateness_ns, bool taken)
{
	struct rtshm_counters *counters = &region->counters;
	unsigned int bin = fls64(lateness_ns | 1) - 1;

	if (!counters->ticks || lateness_ns < counters->lateness_min_ns)
		counters->lateness_min_ns = lateness_ns;
	if (lateness_ns > counters->lateness_max_ns)
		counters->lateness_max_ns = lateness_ns;
	counters->lateness_sum_ns += lateness_ns;
	counters->lateness_histogram[min(bin, RTSHM_LATENESS_BINS - 1U)]++;
	counters->ticks++;
	counters->published += taken;
}

/*
 * region->lock held. Counts from 0 again. Tick numbers continue: they are not a
 * statistic.
 */
void rtshm_counters_reset(struct rtshm_region *region)
{
	struct rtshm_task *task;

	lockdep_assert_held(&region->lock);
	region->missed_past += region->counters.missed;
	region->counters = (struct rtshm_counters) {};
	list_for_each_entry(task, &region->tasks, list) {
		task->ticks = 0;
		task->time_max_ns = 0;
		task->overruns = 0;
	}
}

/* A time on CLOCK_MONOTONIC as one on a clock: enum rtshm_clock. */
static ktime_t rtshm_on_clock(u8 clock, ktime_t time)
{
	switch (clock) {
	case RTSHM_CLOCK_REALTIME:
		return ktime_mono_to_any(time, TK_OFFS_REAL);
	case RTSHM_CLOCK_TAI:
		return ktime_mono_to_any(time, TK_OFFS_TAI);
	default:
		return time;
	}
}

ktime_t rtshm_clock_now(u8 clock)
{
	return rtshm_on_clock(clock, ktime_get());
}

/* How far the clock is ahead of CLOCK_MONOTONIC: constant until it is set. */
s64 rtshm_ahead_ns(u8 clock, ktime_t now)
{
	return ktime_sub(rtshm_on_clock(clock, now), now);
}

/* How long since the tick that the timer is set for was due. */
static s64 rtshm_since_due_ns(const struct rtshm_region *region, ktime_t now)
{
	return ktime_sub(now, hrtimer_get_expires(&region->timer)) -
	       region->config.set.lead_ns;
}

/* Busy-waits until the tick is due: the lead at most, with interrupts off. */
static void rtshm_wait_due(const struct rtshm_region *region)
{
	while (rtshm_since_due_ns(region, ktime_get()) < 0)
		cpu_relax();
}

/*
 * The region's clock was set. Its ticks are due at the same times of the clock as
 * before: ahead, and the timer is now set for one that is long over; back, and it
 * is set for the first that is to come, however many there are before that.
 */
static void rtshm_follow_step(struct rtshm_region *region, ktime_t over_by,
			      u64 period_ns, s64 step_ns)
{
	ktime_t expires = ktime_sub_ns(hrtimer_get_expires(&region->timer), step_ns);
	u64 rest_ns;

	region->ahead_ns += step_ns;
	if (ktime_after(expires, over_by)) {
		div64_u64_rem(ktime_sub(expires, over_by), period_ns, &rest_ns);
		expires = ktime_add_ns(over_by, rest_ns);
	}
	hrtimer_set_expires(&region->timer, expires);
}

/*
 * The timer is not queued. Moves it to the next tick that is due after now, by the period
 * and the lead of @set. Returns how many periods are over. The timer is on
 * CLOCK_MONOTONIC, so that no region sleeps for as long as its clock is set back.
 */
u64 rtshm_periods_over(struct rtshm_region *region, ktime_t now,
		       const struct rtshm_settings *set)
{
	ktime_t over_by = ktime_sub_ns(now, set->lead_ns);
	u64 period_ns = set->period_ns;
	ktime_t expires;
	s64 step_ns;
	u64 periods;

	if (region->config.clock != RTSHM_CLOCK_MONOTONIC) {
		step_ns = rtshm_ahead_ns(region->config.clock, now) - region->ahead_ns;
		if (step_ns)
			rtshm_follow_step(region, over_by, period_ns, step_ns);
	}
	/* hrtimer_forward() overflows from a time before the boot, as after a step. */
	expires = hrtimer_get_expires(&region->timer);
	if (ktime_after(expires, over_by))
		return 0;
	periods = div64_u64(ktime_sub(over_by, expires), period_ns) + 1;
	hrtimer_set_expires(&region->timer,
			    ktime_add_ns(expires, periods * period_ns));
	return periods;
}

/* region->lock held. Counts periods that went by without a tick of their own. */
void rtshm_missed_add(struct rtshm_region *region, u64 missed)
{
	region->counters.missed += missed;
	region->missed_before = min_t(u64, region->missed_before + missed, U32_MAX);
}

/* Hard interrupt, region->lock held. Sets the timer for the next tick. */
static void rtshm_tick_next(struct rtshm_region *region, ktime_t now)
{
	u64 periods = rtshm_periods_over(region, now, &region->config.set);

	/* The first of them is that of this tick; none after a step back. */
	if (periods > 1)
		rtshm_missed_add(region, periods - 1);
	if (region->shift_ns) {
		hrtimer_add_expires_ns(&region->timer, region->shift_ns);
		region->shift_ns = 0;
	}
}

/* Interrupts off: see the head of this file. */
static void rtshm_tick_run(struct rtshm_region *region)
{
	struct rtshm_tick tick = {
		.record = region->mem + sizeof(struct rtshm_word),
		.region = region,
	};
	union rtshm_word_bits seen;
	bool report, wake = false;
	ktime_t now;

	/* Without the lock, for which others would wait with it. */
	if (region->config.set.lead_ns)
		rtshm_wait_due(region);
	scoped_guard(raw_spinlock, &region->lock) {
		/* Here, so that nobody's copy counts as a task's time. */
		now = ktime_get();
		tick.time_ns = now;
		if (region->periodic)
			tick.lateness_ns = max_t(s64, 0, rtshm_since_due_ns(region, now));
		tick.period_ns = region->config.set.period_ns;
		tick.missed = region->missed_before;
		region->missed_before = 0;
		/* A read(2) has the take with all that the tasks store, or none of it. */
		write_seqcount_begin(&region->sequence);
		tick.announced = rtshm_take(region, &seen);
		tick.some_int = seen.word.some_int;
		rtshm_count(region, tick.lateness_ns, tick.announced);
		tick.number = ++region->number;
		now = list_empty(&region->tasks) ? ktime_get() :
						   rtshm_tasks_run(region, &tick);
		write_seqcount_end(&region->sequence);
		/* After the tasks: what they store is in this tick's sample. */
		if (region->ring)
			wake = rtshm_ring_push(region->ring, &tick, seen.bits);
		if (region->periodic)
			rtshm_tick_next(region, now);
		report = rtshm_line_set(region, region->config.set.print, tick.some_int);
	}

	trace_rtshm_tick(rtshm_name(region), tick.number, tick.some_int,
			 tick.lateness_ns, tick.announced);

	report |= test_bit(RTSHM_TELL_STOPPED, &region->pending);
	if (rtshm_poller_disarm(region, seen.word.ready, tick.announced)) {
		set_bit(RTSHM_WAKE, &region->pending);
		report = true;
	}
	/*
	 * A poller is in the queue before it takes the lock to look, so this tick sees it
	 * there, or it sees the sample of this tick.
	 */
	if (wake && waitqueue_active(&region->samples_queue)) {
		set_bit(RTSHM_WAKE_READERS, &region->pending);
		report = true;
	}
	if (report)
		rtshm_thread_wake(region);
}

static enum hrtimer_restart rtshm_tick(struct hrtimer *timer)
{
	rtshm_tick_run(container_of(timer, struct rtshm_region, timer));
	return HRTIMER_RESTART;
}

/*
 * Interrupts off, which makes it a reader of RCU: rtshm_region_stop() waits for it. Not in
 * a tick or an NMI. Ticks once, on this cpu: 0, -EINVAL if the timer does that, or -ENODEV
 * if the region is deleted.
 */
int rtshm_kick(struct rtshm_region *region)
{
	if (region->periodic)
		return -EINVAL;
	if (READ_ONCE(region->dead))
		return -ENODEV;
	rtshm_tick_run(region);
	return 0;
}

/* A region that has not ticked. */
void rtshm_tick_init(struct rtshm_region *region)
{
	raw_spin_lock_init(&region->lock);
	seqcount_raw_spinlock_init(&region->sequence, &region->lock);
	region->number = RTSHM_TICKS_BEFORE;
	INIT_LIST_HEAD(&region->tasks);
	hrtimer_setup(&region->timer, rtshm_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_PINNED_HARD);
}
