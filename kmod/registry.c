// SPDX-License-Identifier: GPL-2.0-only
/*
 * All regions: finding, making, changing and removing them.
 *
 * rtshm_regions_lock guards the list, the sums of all regions, and the settings of
 * each. Nothing under it takes long. A request that makes, changes or removes a region
 * claims it: region->change keeps other such requests for the same region waiting, not
 * those for other regions. A region is in the list, with its name and its share of
 * the rates reserved, from before it is made until it is stopped; in between it is
 * live and can be looked at and claimed.
 */

#include <linux/math64.h>

#include "may.h"
#include "rtshm.h"
#include "tick.h"

/* What all regions may busy-wait in a second: all may be on one cpu. */
#define RTSHM_LEADS_MAX_NS	(NSEC_PER_SEC / 4)

/* See above. */
DEFINE_MUTEX(rtshm_regions_lock);
LIST_HEAD(rtshm_regions);

/* Under rtshm_regions_lock: counts what changes the answer to a dump. */
u32 rtshm_generation = 1;

/* Under rtshm_regions_lock: of all regions in the list, and of those removed. */
static unsigned int rtshm_regions_count;
static u64 rtshm_rate_hz, rtshm_leads_ns;
static u32 rtshm_last_id;
u64 rtshm_removed_ticks, rtshm_removed_missed;

static u64 rtshm_rate_of(const struct rtshm_settings *set)
{
	return set->period_ns ? DIV64_U64_ROUND_UP(NSEC_PER_SEC, set->period_ns) : 0;
}

/* What a region busy-waits in a second. */
static u64 rtshm_leads_of(const struct rtshm_settings *set)
{
	return set->lead_ns ? div64_u64(set->lead_ns * NSEC_PER_SEC, set->period_ns) : 0;
}

/* rtshm_regions_lock held. Adds the share of a region to the sums, or -1 times it. */
static void rtshm_rates_sum(const struct rtshm_settings *set, s64 sign)
{
	u64 *on_cpu = per_cpu_ptr(&rtshm_cpu_rate_hz, set->timer_cpu);
	u64 rate_hz = sign * rtshm_rate_of(set);

	rtshm_rate_hz += rate_hz;
	rtshm_leads_ns += sign * rtshm_leads_of(set);
	WRITE_ONCE(*on_cpu, *on_cpu + rate_hz);	/* rtshm_timer_cpu() */
}

/* The same, and to what its member uses, whether there is room or not. */
static void rtshm_rates_add(struct rtshm_region *region, const struct rtshm_settings *set,
			    s64 sign)
{
	rtshm_rates_sum(set, sign);
	rtshm_member_add(region->member, RTSHM_QUOTA_TICKS, sign * rtshm_rate_of(set));
}

/* rtshm_regions_lock held. Reserves the ticks and leads of a region, if there is room. */
static int rtshm_rates_reserve(struct rtshm_region *region, const struct rtshm_settings *set,
			       struct netlink_ext_ack *extack)
{
	int err;

	if (rtshm_rate_hz + rtshm_rate_of(set) > rtshm_limits.rate_max_hz)
		return rtshm_refuse(extack, -ENOSPC,
				    "period-ns: all regions: at most %llu ticks/s (parameter rate_max_hz)",
				    rtshm_limits.rate_max_hz);
	if (rtshm_leads_ns + rtshm_leads_of(set) > RTSHM_LEADS_MAX_NS)
		return rtshm_refuse(extack, -ENOSPC,
				    "lead-ns: the leads of all regions may add up to 250 ms per second");
	err = rtshm_member_charge(region->member, RTSHM_QUOTA_TICKS, rtshm_rate_of(set),
				  "period-ns", extack);
	if (!err)
		rtshm_rates_sum(set, 1);
	return err;
}

/* rtshm_regions_lock held. The region of a name, live or not, or NULL. */
static struct rtshm_region *rtshm_region_named(const char *name)
{
	struct rtshm_region *region;

	lockdep_assert_held(&rtshm_regions_lock);
	list_for_each_entry(region, &rtshm_regions, list)
		if (!strcmp(rtshm_name(region), name))
			return region;
	return NULL;
}

/* rtshm_regions_lock held. A live region, or NULL. */
struct rtshm_region *rtshm_region_find(const char *name)
{
	struct rtshm_region *region = rtshm_region_named(name);

	return region && region->live ? region : NULL;
}

/*
 * Process context, no lock held. A live region that nobody else changes or removes
 * until rtshm_region_unclaim(), or NULL.
 */
struct rtshm_region *rtshm_region_claim(const char *name)
{
	struct rtshm_region *region;

	scoped_guard(mutex, &rtshm_regions_lock) {
		region = rtshm_region_find(name);
		if (region)
			kref_get(&region->kref);
	}
	if (!region)
		return NULL;
	mutex_lock(&region->change);
	if (region->live)
		return region;
	/* Somebody else was about to remove it. */
	rtshm_region_unclaim(region);
	return NULL;
}

void rtshm_region_unclaim(struct rtshm_region *region)
{
	mutex_unlock(&region->change);
	rtshm_region_put(region);
}

/* Adds a region to the list: 0 or an errno. */
static int rtshm_region_reserve(struct rtshm_region *region, struct netlink_ext_ack *extack)
{
	struct rtshm_settings *set = &region->config.set;
	int err;

	guard(mutex)(&rtshm_regions_lock);
	if (rtshm_region_named(rtshm_name(region)))
		return rtshm_refuse(extack, -EEXIST,
				    "name: a region with this name already exists");
	if (rtshm_regions_count >= rtshm_limits.regions_max || rtshm_last_id == U32_MAX)
		return rtshm_refuse(extack, -ENOSPC,
				    "name: at most %llu regions (module parameter regions_max)",
				    rtshm_limits.regions_max);
	set->timer_cpu = set->cpu == RTSHM_CPU_ANY ? rtshm_timer_cpu(-1) : set->cpu;
	err = rtshm_rates_reserve(region, set, extack);
	if (err)
		return err;
	region->id = ++rtshm_last_id;
	rtshm_regions_count++;
	kref_get(&region->kref);
	list_add_tail(&region->list, &rtshm_regions);
	return 0;
}

/* rtshm_regions_lock held. The caller has a reference of his own. */
static void rtshm_region_unreserve(struct rtshm_region *region)
{
	list_del(&region->list);
	rtshm_regions_count--;
	rtshm_rates_add(region, &region->config.set, -1);
	rtshm_region_put(region);
}

/*
 * Process context, no lock held. Makes a region, which ticks then. Nobody finds it before
 * the caller sets region->live. Returns it claimed, or an ERR_PTR.
 */
struct rtshm_region *rtshm_region_make(const struct rtshm_config *config,
				       struct netlink_ext_ack *extack)
{
	struct rtshm_region *region;
	int err;

	err = rtshm_config_check(config, extack);
	if (err)
		return ERR_PTR(err);
	region = rtshm_region_new(config);
	if (!region)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&region->change);
	err = rtshm_member_join(&region->member, config->creator, extack) ?:
	      rtshm_region_reserve(region, extack);
	if (err)
		goto err_claim;
	err = rtshm_region_build(region, extack);
	if (err)
		goto err_reserve;
	return region;

err_reserve:
	scoped_guard(mutex, &rtshm_regions_lock)
		rtshm_region_unreserve(region);
err_claim:
	rtshm_region_unclaim(region);
	return ERR_PTR(err);
}

/*
 * Process context, the region claimed, no lock held. Changes all settings or, with
 * an errno, none. @reset: the counters are of the new settings only. Returns 1, or 0
 * if nothing is changed.
 */
int rtshm_region_change(struct rtshm_region *region, const struct rtshm_settings *set,
			bool reset, struct netlink_ext_ack *extack)
{
	const struct rtshm_settings before = region->config.set;
	struct rtshm_config config = region->config;
	struct rtshm_settings *after = &config.set;
	int err;

	*after = *set;
	err = rtshm_settings_check(&config, extack);
	if (err)
		return err;
	if (!after->period_ns != !before.period_ns)
		return rtshm_refuse(extack, -EINVAL,
				    "period-ns: a region cannot gain or lose its period");
	/* Its cpu may be offline meanwhile; another one has to be online. */
	if (after->cpu != before.cpu) {
		err = rtshm_cpu_check(after->cpu, extack);
		if (err)
			return err;
		after->timer_cpu = after->cpu;
	}
	if (!reset && !memcmp(after, &before, sizeof(before)))
		return 0;
	scoped_guard(mutex, &rtshm_regions_lock) {
		rtshm_rates_add(region, &before, -1);
		err = rtshm_rates_reserve(region, after, extack);
		if (err) {
			rtshm_rates_add(region, &before, 1);
			return err;
		}
	}
	if (after->history != before.history ||
	    (after->history && after->record_bytes != before.record_bytes)) {
		err = rtshm_region_record(region, after, extack);
		if (err) {
			/* Back to what it had, whether there is still room or not. */
			guard(mutex)(&rtshm_regions_lock);
			rtshm_rates_add(region, after, -1);
			rtshm_rates_add(region, &before, 1);
			return err;
		}
	}
	rtshm_timer_change(region, after, reset);
	if (after->print != before.print)
		clear_bit(RTSHM_COMPARED, &region->pending);
	rtshm_region_announce(region, memcmp(&after->access, &before.access,
					     sizeof(before.access)));
	return 1;
}

/* Process context, the region claimed, no lock held. */
void rtshm_region_remove(struct rtshm_region *region)
{
	scoped_guard(mutex, &rtshm_regions_lock) {
		region->live = false;
		rtshm_generation++;
	}
	rtshm_region_stop(region);
	scoped_guard(mutex, &rtshm_regions_lock) {
		rtshm_tasks_end(region);
		rtshm_netlink_notify(region, RTSHM_CMD_REGION_DEL_NTF);
		rtshm_removed_ticks += region->number - RTSHM_TICKS_BEFORE;
		rtshm_removed_missed += region->missed_past + region->counters.missed;
		rtshm_region_unreserve(region);
	}
}

/* Nothing else runs any more that makes a region. */
void rtshm_regions_exit(void)
{
	struct rtshm_region *region, *next;

	list_for_each_entry_safe(region, next, &rtshm_regions, list) {
		kref_get(&region->kref);
		scoped_guard(mutex, &region->change) {
			rtshm_region_remove(region);
			rtshm_line_print_withheld(region);
		}
		rtshm_region_put(region);
	}
}
