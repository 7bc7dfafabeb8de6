// SPDX-License-Identifier: GPL-2.0-only
/*
 * All regions: finding, making, changing and removing them.
 *
 * rtshm_regions_lock guards the list, its generation, the sums of the rates and the
 * leads, and the settings of every region in the list. A region in the list is alive; the
 * list holds a reference to it.
 */

#include <linux/math64.h>

#include "rtshm.h"

/* See above. */
DEFINE_MUTEX(rtshm_regions_lock);
LIST_HEAD(rtshm_regions);

/* Never 0, which a dump takes for its beginning. */
u32 rtshm_generation = 1;

static const struct file_operations *rtshm_state, *rtshm_samples;
static unsigned int rtshm_regions_count;
static u64 rtshm_rate_hz;
static u64 rtshm_leads_ns;	/* in a second */
static u32 rtshm_last_id;
static u64 rtshm_removed_ticks, rtshm_removed_missed;

static u64 rtshm_rate(u64 period_ns)
{
	return DIV64_U64_ROUND_UP(NSEC_PER_SEC, period_ns);
}

/* What a region waits for its ticks in a second. */
static u64 rtshm_lead(u64 period_ns, u64 lead_ns)
{
	return div64_u64(lead_ns * NSEC_PER_SEC, period_ns);
}

/* Whether there is room for the ticks of a region beside all others. */
static int rtshm_rate_check(const struct rtshm_config *config,
			    struct netlink_ext_ack *extack)
{
	if (rtshm_rate_hz + rtshm_rate(config->period_ns) > rtshm_limits.rate_max_hz) {
		rtshm_refuse(extack, RTSHM_TEXT_RATE);
		return -ENOSPC;
	}
	/* All may be on one cpu, which is to have time for something else. */
	if (rtshm_leads_ns + rtshm_lead(config->period_ns, config->lead_ns) >
	    RTSHM_LEADS_MAX_NS) {
		rtshm_refuse(extack, RTSHM_TEXT_LEADS);
		return -ENOSPC;
	}
	return 0;
}

static void rtshm_rate_take(const struct rtshm_region *region)
{
	rtshm_rate_hz += rtshm_rate(region->period_ns);
	rtshm_leads_ns += rtshm_lead(region->period_ns, region->lead_ns);
}

static void rtshm_rate_give(const struct rtshm_region *region)
{
	rtshm_rate_hz -= rtshm_rate(region->period_ns);
	rtshm_leads_ns -= rtshm_lead(region->period_ns, region->lead_ns);
}

/* What a region takes of the kernel's memory. */
static u64 rtshm_kernel_bytes(const struct rtshm_config *config)
{
	return config->phys == RTSHM_NONE ? config->size : 0;
}

/* Whether there is room for one more beside all others. */
static int rtshm_room_check(const struct rtshm_config *config,
			    struct netlink_ext_ack *extack)
{
	if (rtshm_region_find(config->name)) {
		rtshm_refuse(extack, RTSHM_TEXT_EXISTS);
		return -EEXIST;
	}
	if (rtshm_regions_count >= rtshm_limits.regions_max ||
	    rtshm_last_id == U32_MAX) {
		rtshm_refuse(extack, RTSHM_TEXT_REGIONS);
		return -ENOSPC;
	}
	if (atomic64_read(&rtshm_bytes) + rtshm_kernel_bytes(config) >
	    rtshm_limits.bytes_max) {
		rtshm_refuse(extack, RTSHM_TEXT_BYTES);
		return -ENOSPC;
	}
	return rtshm_rate_check(config, extack);
}

/*
 * A ring for a region of this size that is not there yet, or 0; NULL for a depth
 * of 0.
 */
static struct rtshm_ring *rtshm_ring_get(const struct rtshm_config *config,
					 u64 size, struct netlink_ext_ack *extack)
{
	u64 bytes = rtshm_ring_bytes(config->record_depth, config->record_bytes);
	struct rtshm_ring *ring;

	if (!config->record_depth)
		return NULL;
	if (atomic64_read(&rtshm_bytes) + size + bytes > rtshm_limits.bytes_max) {
		rtshm_refuse(extack, RTSHM_TEXT_RING_BYTES);
		return ERR_PTR(-ENOSPC);
	}
	ring = rtshm_ring_new(config->record_depth, config->record_bytes);
	if (!ring) {
		rtshm_refuse(extack, RTSHM_TEXT_RING_MEMORY);
		return ERR_PTR(-ENOMEM);
	}
	return ring;
}

/* The raw memory of a region; NULL for none. */
static struct rtshm_phys *rtshm_raw_get(const struct rtshm_config *config,
					struct netlink_ext_ack *extack)
{
	struct rtshm_phys *phys;
	enum rtshm_text why;

	if (config->phys == RTSHM_NONE)
		return NULL;
	phys = rtshm_phys_get(config->name, config->phys, config->size,
			      config->keep, &why);
	if (IS_ERR(phys))
		rtshm_refuse(extack, why);
	return phys;
}

/* The list has changed, or something in it. rtshm_regions_lock held. */
void rtshm_regions_changed(void)
{
	if (!++rtshm_generation)
		++rtshm_generation;
}

/* rtshm_regions_lock held. */
struct rtshm_region *rtshm_region_find(const char *name)
{
	struct rtshm_region *region;

	lockdep_assert_held(&rtshm_regions_lock);
	list_for_each_entry(region, &rtshm_regions, list)
		if (!strcmp(rtshm_name(region), name))
			return region;
	return NULL;
}

/**
 * rtshm_region_add() - make a region and put it into the list
 * @config: What it is to be.
 * @extack: Where a refusal says why, or NULL.
 *
 * rtshm_regions_lock held. The region does not tick before rtshm_tick_start().
 *
 * Return: The region, which the list holds, or an ERR_PTR.
 */
struct rtshm_region *rtshm_region_add(const struct rtshm_config *config,
				      struct netlink_ext_ack *extack)
{
	struct rtshm_region *region;
	struct rtshm_phys *phys;
	struct rtshm_ring *ring;
	int err;

	lockdep_assert_held(&rtshm_regions_lock);
	err = rtshm_config_check(config, extack);
	if (!err)
		err = rtshm_room_check(config, extack);
	if (err)
		return ERR_PTR(err);

	ring = rtshm_ring_get(config, rtshm_kernel_bytes(config), extack);
	if (IS_ERR(ring))
		return ERR_CAST(ring);
	phys = rtshm_raw_get(config, extack);
	if (IS_ERR(phys)) {
		rtshm_ring_free(ring);
		return ERR_CAST(phys);
	}
	region = rtshm_region_new(config, phys, rtshm_last_id + 1, rtshm_state);
	if (IS_ERR(region)) {
		rtshm_ring_free(ring);
		err = PTR_ERR(region);
		goto err_refuse;
	}
	if (ring) {
		err = rtshm_history_new(region, ring, rtshm_samples);
		if (err)
			goto err_region;
	}

	rtshm_last_id++;
	rtshm_regions_count++;
	rtshm_rate_take(region);
	list_add_tail(&region->list, &rtshm_regions);
	rtshm_regions_changed();
	return region;

err_region:
	/* It has no history. */
	rtshm_region_shut(region);
	rtshm_region_put(region);
err_refuse:
	if (err == -ENOMEM)
		rtshm_refuse(extack, RTSHM_TEXT_MEMORY);
	else if (err == -ENOSPC)
		rtshm_refuse(extack, RTSHM_TEXT_MINORS);
	return ERR_PTR(err);
}

/*
 * Another depth or other bytes: another ring. The old one is there until the new
 * one is, and nobody reads it. What can fail comes before what cannot be undone.
 */
static int rtshm_region_record(struct rtshm_region *region,
			       const struct rtshm_config *config,
			       struct netlink_ext_ack *extack)
{
	struct rtshm_ring *ring;
	int err;

	if (region->history && region->history->readers) {
		rtshm_refuse(extack, RTSHM_TEXT_READERS);
		return -EBUSY;
	}
	ring = rtshm_ring_get(config, 0, extack);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	if (!ring) {
		rtshm_history_shut(region->history);
	} else if (region->history) {
		rtshm_history_renew(region->history, ring);
	} else {
		err = rtshm_history_new(region, ring, rtshm_samples);
		if (err) {
			rtshm_refuse(extack, err == -ENOSPC ?
				     RTSHM_TEXT_MINORS : RTSHM_TEXT_RING_MEMORY);
			return err;
		}
	}
	region->record_depth = config->record_depth;
	region->record_bytes = config->record_bytes;
	return 0;
}

/**
 * rtshm_region_change() - change the settings of a region
 * @region: A region of the list.
 * @config: What rtshm_settings_of() gives of it, some of it changed.
 * @extack: Where a refusal says why, or NULL.
 *
 * rtshm_regions_lock held. All or, with an errno, nothing is changed.
 *
 * Return: 1, 0 if it is what it was, or an errno.
 */
int rtshm_region_change(struct rtshm_region *region,
			const struct rtshm_config *config,
			struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&rtshm_regions_lock);
	err = rtshm_settings_check(config, region->size, extack);
	if (err)
		return err;
	/* In the place of what it has. */
	rtshm_rate_give(region);
	err = rtshm_rate_check(config, extack);
	rtshm_rate_take(region);
	if (err)
		return err;
	/* The ticks of another period would be at another phase. */
	if (config->period_ns != region->period_ns &&
	    region->phase_ns != RTSHM_NONE) {
		rtshm_refuse(extack, RTSHM_TEXT_PHASE_PERIOD);
		return -EINVAL;
	}
	if (config->period_ns == region->period_ns &&
	    config->print == region->print &&
	    config->task_budget_ns == region->task_budget_ns &&
	    config->task_long_max == region->task_long_max &&
	    config->record_depth == region->record_depth &&
	    config->record_bytes == region->record_bytes)
		return 0;

	if (config->record_depth != region->record_depth ||
	    config->record_bytes != region->record_bytes) {
		err = rtshm_region_record(region, config, extack);
		if (err)
			return err;
	}
	rtshm_rate_give(region);
	/* Loaded by the next tick, each by itself. */
	WRITE_ONCE(region->period_ns, config->period_ns);
	rtshm_rate_take(region);
	WRITE_ONCE(region->task_budget_ns, config->task_budget_ns);
	WRITE_ONCE(region->task_long_max, config->task_long_max);
	if (config->print != region->print)
		rtshm_print_set_mode(region, config->print);
	rtshm_regions_changed();
	return 1;
}

/*
 * rtshm_regions_lock held. The region is stopped and no longer in the list,
 * whose reference is the caller's now.
 */
void rtshm_region_remove(struct rtshm_region *region)
{
	lockdep_assert_held(&rtshm_regions_lock);
	list_del(&region->list);
	rtshm_regions_count--;
	rtshm_rate_give(region);
	rtshm_regions_changed();
	rtshm_region_shut(region);
	rtshm_tasks_gone(region);
	/* After the stop, for the samples of the last ticks. */
	rtshm_history_shut(region->history);
	rtshm_removed_ticks += region->counters.ticks;
	rtshm_removed_missed += region->counters.missed;
}

/* What the device nodes do. */
int __init rtshm_regions_init(const struct file_operations *state_fops,
			      const struct file_operations *sample_fops)
{
	int err;

	rtshm_state = state_fops;
	rtshm_samples = sample_fops;
	rtshm_limits_init();
	err = rtshm_ticks_init();
	if (err)
		return err;
	err = rtshm_devices_init();
	if (err)
		goto err_ticks;
	return 0;

err_ticks:
	rtshm_ticks_exit();
	return err;
}

/* Nothing else runs any more that adds a region. Tells what all ticks counted. */
void rtshm_regions_exit(u64 *ticks, u64 *missed)
{
	struct rtshm_region *region, *next;

	scoped_guard(mutex, &rtshm_regions_lock) {
		list_for_each_entry_safe(region, next, &rtshm_regions, list) {
			rtshm_region_remove(region);
			rtshm_print_tell_withheld(region);
			rtshm_region_put(region);
		}
		*ticks = rtshm_removed_ticks;
		*missed = rtshm_removed_missed;
	}
	rtshm_devices_exit();
	rtshm_ticks_exit();
}
