/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ticks of a region and its timer, for those who start, change and end them.
 */
#ifndef RTSHM_TICK_H
#define RTSHM_TICK_H

#include <linux/percpu-defs.h>

#include "rtshm.h"

/* Ticks and samples before the first: tests/boots/test_month.py has another. */
#ifndef RTSHM_TICKS_BEFORE
#define RTSHM_TICKS_BEFORE	0ULL
#endif

/* tick.c */
void rtshm_tick_init(struct rtshm_region *region);
void rtshm_counters_reset(struct rtshm_region *region);
void rtshm_missed_add(struct rtshm_region *region, u64 missed);
ktime_t rtshm_clock_now(u8 clock);
s64 rtshm_ahead_ns(u8 clock, ktime_t now);
u64 rtshm_periods_over(struct rtshm_region *region, ktime_t now,
		       const struct rtshm_settings *set);
int rtshm_kick(struct rtshm_region *region);
bool rtshm_announced(const struct rtshm_region *region);

/* timer.c */
DECLARE_PER_CPU(u64, rtshm_cpu_rate_hz);

int rtshm_timers_init(void);
void rtshm_timers_exit(void);
int rtshm_timer_cpu(int but);
void rtshm_timer_begin(struct rtshm_region *region);
void rtshm_timer_change(struct rtshm_region *region, const struct rtshm_settings *set,
			bool reset);
void rtshm_timer_end(struct rtshm_region *region);

#endif /* RTSHM_TICK_H */
