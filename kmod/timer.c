// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timer of a region: its grid, and the cpu that it is on.
 *
 * A timer is started and moved with cpus_read_lock() held, or by the callbacks of cpu
 * hot-plug, which hold it for writing. So no cpu comes or goes meanwhile, and none of
 * the callbacks runs during another change of the timer.
 */

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/math64.h>
#include <linux/sched/isolation.h>
#include <linux/smp.h>

#include "rtshm.h"
#include "tick.h"

/* Ticks a second of the regions of each cpu. Stored under rtshm_regions_lock. */
DEFINE_PER_CPU(u64, rtshm_cpu_rate_hz);

static enum cpuhp_state rtshm_cpuhp_state;

/*
 * Chooses the cpu for the timer of a region: of those that are not isolated, by the
 * command line or a cpuset, the one with the fewest ticks a second. Any other cpu than
 * @but will do if there is none.
 */
int rtshm_timer_cpu(int but)
{
	u64 rate_hz, best_hz = U64_MAX;
	int cpu, best = -1;

	rcu_read_lock();	/* housekeeping_cpu(), of kernels that change it */
	for_each_online_cpu(cpu) {
		if (cpu == but)
			continue;
		rate_hz = U64_MAX;
		if (housekeeping_cpu(cpu, HK_TYPE_TIMER) && housekeeping_cpu(cpu, HK_TYPE_DOMAIN))
			rate_hz = READ_ONCE(per_cpu(rtshm_cpu_rate_hz, cpu));
		if (best < 0 || rate_hz < best_hz) {
			best = cpu;
			best_hz = rate_hz;
		}
	}
	rcu_read_unlock();
	return best;
}

/* The interrupt of rtshm_timer_run_on(): the timer goes on, on its grid. */
static void rtshm_timer_restart(void *data)
{
	struct rtshm_region *region = data;

	hrtimer_start_expires(&region->timer, HRTIMER_MODE_ABS_PINNED_HARD);
}

/* Ends the limit on the idle states of the cpu, if there is one. */
static void rtshm_latency_end(struct rtshm_region *region)
{
	if (dev_pm_qos_request_active(&region->latency))
		dev_pm_qos_remove_request(&region->latency);
}

/*
 * Has a cpu, which is online, start a timer, which is not queued. Only this cpu is
 * limited in its idle states: the others may save power. Without memory it is not.
 */
static void rtshm_timer_run_on(struct rtshm_region *region, int cpu, smp_call_func_t start)
{
	u64 latency_ns = region->config.set.cpu_latency_ns;

	WRITE_ONCE(region->cpu, cpu);	/* rtshm_nl_fill_region() */
	smp_call_function_single(cpu, start, region, true);
	rtshm_latency_end(region);
	if (latency_ns)
		dev_pm_qos_add_request(get_cpu_device(cpu), &region->latency,
				       DEV_PM_QOS_RESUME_LATENCY, latency_ns / NSEC_PER_USEC);
}

/* Not if the timer was never started. */
static void rtshm_timer_move(struct rtshm_region *region, int cpu)
{
	if (hrtimer_cancel(&region->timer))
		rtshm_timer_run_on(region, cpu, rtshm_timer_restart);
}

/* A cpu comes. A timer that was put there returns to it, on the same grid. */
static int rtshm_cpu_up(unsigned int cpu, struct hlist_node *node)
{
	struct rtshm_region *region = hlist_entry(node, typeof(*region), cpuhp);

	if (region->config.set.timer_cpu == cpu)
		rtshm_timer_move(region, cpu);
	return 0;
}

/* A cpu goes, and is still online. The kernel might move the timer to an isolated one. */
static int rtshm_cpu_down(unsigned int cpu, struct hlist_node *node)
{
	struct rtshm_region *region = hlist_entry(node, typeof(*region), cpuhp);

	if (region->cpu == cpu)
		rtshm_timer_move(region, rtshm_timer_cpu(cpu));
	return 0;
}

int __init rtshm_timers_init(void)
{
	int state = cpuhp_setup_state_multi(CPUHP_AP_ONLINE_DYN, "rtshm:online",
					    rtshm_cpu_up, rtshm_cpu_down);

	if (state < 0)
		return state;
	rtshm_cpuhp_state = state;
	return 0;
}

void rtshm_timers_exit(void)
{
	cpuhp_remove_multi_state(rtshm_cpuhp_state);
}

/* When the first tick is due, on the region's clock; the others follow from it. */
static u64 rtshm_first_tick(const struct rtshm_config *config, u64 now_ns)
{
	u64 phase_ns = config->set.phase_ns, since_ns;

	if (config->start_ns != RTSHM_NONE)
		return config->start_ns;
	if (phase_ns == RTSHM_NONE)
		return now_ns;
	if (now_ns < phase_ns)
		return phase_ns;
	div64_u64_rem(now_ns - phase_ns, config->set.period_ns, &since_ns);
	return now_ns - since_ns + config->set.period_ns;
}

/* The timer is not queued. Sets it for the first tick of the region's grid. */
static void rtshm_grid_begin(struct rtshm_region *region, ktime_t now)
{
	u64 first_ns;

	region->ahead_ns = rtshm_ahead_ns(region->config.clock, now);
	first_ns = rtshm_first_tick(&region->config, now + region->ahead_ns);
	hrtimer_set_expires(&region->timer, ns_to_ktime(first_ns - region->ahead_ns -
							region->config.set.lead_ns));
}

/* The interrupt of rtshm_timer_run_on(): what it takes does not make the tick late. */
static void rtshm_timer_start(void *data)
{
	rtshm_grid_begin(data, ktime_get());
	rtshm_timer_restart(data);
}

static int rtshm_timer_cpu_now(const struct rtshm_settings *set)
{
	return cpu_online(set->timer_cpu) ? set->timer_cpu : rtshm_timer_cpu(-1);
}

/*
 * Process context. The first tick is now, unless the region has a phase or a start; the
 * others follow on its grid.
 */
void rtshm_timer_begin(struct rtshm_region *region)
{
	if (!region->periodic)
		return;
	/* Does not fail: the state is there, and its callbacks are not called. */
	cpuhp_state_add_instance_nocalls(rtshm_cpuhp_state, &region->cpuhp);
	cpus_read_lock();
	rtshm_timer_run_on(region, rtshm_timer_cpu_now(&region->config.set), rtshm_timer_start);
	cpus_read_unlock();
}

/*
 * region->lock held, the timer not queued, region->config.set new, @before what it was.
 * With a phase, the next tick is the first of the new grid after now, and the ticks that
 * are due are missed. Without one it comes within a period, unless the first one is
 * still to come.
 */
static void rtshm_grid_change(struct rtshm_region *region,
			      const struct rtshm_settings *before)
{
	const struct rtshm_settings *set = &region->config.set;
	ktime_t now = ktime_get(), soon = ktime_add_ns(now, set->period_ns);
	ktime_t due = ktime_add_ns(hrtimer_get_expires(&region->timer), before->lead_ns);

	if (set->phase_ns != before->phase_ns ||
	    (set->phase_ns != RTSHM_NONE && set->period_ns != before->period_ns)) {
		rtshm_missed_add(region, rtshm_periods_over(region, now, before));
		rtshm_grid_begin(region, now);
		return;
	}
	if (region->number > RTSHM_TICKS_BEFORE && ktime_after(due, soon))
		due = soon;
	hrtimer_set_expires(&region->timer, ktime_sub_ns(due, set->lead_ns));
}

/*
 * Process context, the region claimed, rtshm_regions_lock not held. Every tick is of
 * the settings before or of the new ones; with @reset the counters are of the latter.
 */
void rtshm_timer_change(struct rtshm_region *region, const struct rtshm_settings *set,
			bool reset)
{
	const struct rtshm_settings before = region->config.set;
	bool moves = region->periodic &&
		     (set->period_ns != before.period_ns || set->phase_ns != before.phase_ns ||
		      set->lead_ns != before.lead_ns || set->timer_cpu != before.timer_cpu ||
		      set->cpu_latency_ns != before.cpu_latency_ns);

	if (moves) {
		cpus_read_lock();
		hrtimer_cancel(&region->timer);
	}
	scoped_guard(raw_spinlock_irq, &region->lock) {
		region->config.set = *set;
		if (moves)
			rtshm_grid_change(region, &before);
		if (reset)
			rtshm_counters_reset(region);
	}
	if (moves) {
		rtshm_timer_run_on(region, rtshm_timer_cpu_now(set), rtshm_timer_restart);
		cpus_read_unlock();
	}
}

/*
 * Process context, no lock held that a tick takes. First what may start the timer
 * again, then the timer; after them no tick comes, and each period since the start is
 * either a tick or missed.
 */
void rtshm_timer_end(struct rtshm_region *region)
{
	if (!hlist_unhashed(&region->cpuhp))
		cpuhp_state_remove_instance_nocalls(rtshm_cpuhp_state, &region->cpuhp);
	rtshm_latency_end(region);
	/* Not if it was never started. */
	if (!hrtimer_cancel(&region->timer))
		return;
	scoped_guard(raw_spinlock_irq, &region->lock)
		rtshm_missed_add(region, rtshm_periods_over(region, ktime_get(),
							    &region->config.set));
}
