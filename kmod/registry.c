// SPDX-License-Identifier: GPL-2.0-only
/*
 * All regions: finding, making, changing and removing them.
 *
 * rtshm_regions_lock guards the list, its generation, the sums of the rates and the
 * leads, and the settings of every region in the list, which holds a reference to it.
 * Nothing under the lock takes long: a region is in the list, with its name, number and
 * rate reserved, before it is made, and until it is stopped; only in between is it live
 * and can be changed. It can be looked at a little earlier: from before udev hears of it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

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

/* The list has changed, or something in it. rtshm_regions_lock held. */
void rtshm_regions_changed(void)
{
	if (!++rtshm_generation)
		++rtshm_generation;
}

/* The region of a name, live or not, or NULL. */
static struct rtshm_region *rtshm_region_named(const char *name)
{
	struct rtshm_region *region;

	lockdep_assert_held(&rtshm_regions_lock);
	list_for_each_entry(region, &rtshm_regions, list)
		if (!strcmp(rtshm_name(region), name))
			return region;
	return NULL;
}

/* rtshm_regions_lock held. A region to look at, or NULL. */
struct rtshm_region *rtshm_region_look(const char *name)
{
	struct rtshm_region *region = rtshm_region_named(name);

	return region && region->visible ? region : NULL;
}

/* rtshm_regions_lock held. A region to change, or NULL. */
struct rtshm_region *rtshm_region_find(const char *name)
{
	struct rtshm_region *region = rtshm_region_named(name);

	return region && region->live ? region : NULL;
}

/* Reserves a place in the list, beside all other regions: 0 or an errno. */
static int rtshm_region_reserve(struct rtshm_region *region,
				const struct rtshm_config *config,
				struct netlink_ext_ack *extack)
{
	int err;

	guard(mutex)(&rtshm_regions_lock);
	if (rtshm_region_named(config->name)) {
		rtshm_refuse(extack, RTSHM_TEXT_EXISTS);
		return -EEXIST;
	}
	if (rtshm_regions_count >= rtshm_limits.regions_max ||
	    rtshm_last_id == U32_MAX) {
		rtshm_refuse(extack, RTSHM_TEXT_REGIONS);
		return -ENOSPC;
	}
	err = rtshm_rate_check(config, extack);
	if (err)
		return err;
	region->id = ++rtshm_last_id;
	rtshm_regions_count++;
	rtshm_rate_take(region);
	list_add_tail(&region->list, &rtshm_regions);
	return 0;
}

/* rtshm_regions_lock held. The list's reference is the caller's. */
static void rtshm_region_unreserve(struct rtshm_region *region)
{
	list_del(&region->list);
	rtshm_regions_count--;
	rtshm_rate_give(region);
}

/* Process context, no lock held. NULL for a depth of 0, or an ERR_PTR. */
struct rtshm_ring *rtshm_ring_get(const struct rtshm_config *config,
				  struct netlink_ext_ack *extack)
{
	struct rtshm_ring *ring;

	if (!config->record_depth)
		return NULL;
	ring = rtshm_ring_new(config->record_depth, config->record_bytes);
	if (IS_ERR(ring))
		rtshm_refuse(extack, PTR_ERR(ring) == -ENOSPC ?
			     RTSHM_TEXT_RING_BYTES : RTSHM_TEXT_RING_MEMORY);
	return ring;
}

/* The memory of a region, raw or the kernel's: 0 or an errno. */
static int rtshm_region_fill(struct rtshm_region *region,
			     const struct rtshm_config *config,
			     struct netlink_ext_ack *extack)
{
	struct rtshm_phys *phys;
	enum rtshm_text why;
	void *mem;

	if (config->phys == RTSHM_NONE) {
		mem = rtshm_memory_get(config->size);
		if (IS_ERR(mem)) {
			rtshm_refuse(extack, PTR_ERR(mem) == -ENOSPC ?
				     RTSHM_TEXT_BYTES : RTSHM_TEXT_MEMORY);
			return PTR_ERR(mem);
		}
	} else {
		phys = rtshm_phys_get(config->name, config->phys, config->size,
				      config->keep, &why);
		if (IS_ERR(phys)) {
			rtshm_refuse(extack, why);
			return PTR_ERR(phys);
		}
		region->phys = phys;
		mem = phys->mem;
	}
	region->mem = (void __shm __force *)mem;
	return 0;
}

/* Everything of a region that takes long. On failure nothing of it runs. */
static int rtshm_region_build(struct rtshm_region *region,
			      const struct rtshm_config *config,
			      struct netlink_ext_ack *extack)
{
	struct rtshm_ring *ring;
	int err;

	ring = rtshm_ring_get(config, extack);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	err = rtshm_region_fill(region, config, extack);
	if (err) {
		rtshm_ring_free(ring);
		return err;
	}
	scoped_guard(mutex, &rtshm_regions_lock) {
		region->visible = true;
		rtshm_regions_changed();
	}
	err = rtshm_region_show(region, rtshm_state);
	if (err) {
		rtshm_ring_free(ring);
		goto err_refuse;
	}
	if (ring) {
		err = rtshm_history_new(region, ring, rtshm_samples);
		if (err)
			goto err_stop;
	}
	/* Before the first tick, which prints its own line. */
	if (config->at_load)
		pr_info("loaded: default has %zu bytes and a tick every %llu ns\n",
			region->size, region->period_ns);
	if (!rtshm_tick_start(region))
		return 0;
	rtshm_refuse(extack, RTSHM_TEXT_CPU);
	err = -ENODEV;

err_stop:
	rtshm_region_stop(region);
err_refuse:
	if (err == -ENOMEM)
		rtshm_refuse(extack, RTSHM_TEXT_MEMORY);
	else if (err == -ENOSPC)
		rtshm_refuse(extack, RTSHM_TEXT_MINORS);
	return err;
}

/**
 * rtshm_region_make() - make a region, which ticks then
 * @config: What it is to be.
 * @extack: Where a refusal says why, or NULL.
 *
 * Process context, no lock held. Nobody changes the region before
 * rtshm_region_insert().
 *
 * Return: The region, which the list holds, or an ERR_PTR.
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
	if (IS_ERR(region)) {
		rtshm_refuse(extack, RTSHM_TEXT_MEMORY);
		return region;
	}
	err = rtshm_region_reserve(region, config, extack);
	if (err)
		goto err_put;
	err = rtshm_region_build(region, config, extack);
	if (err)
		goto err_reserved;
	return region;

err_reserved:
	scoped_guard(mutex, &rtshm_regions_lock) {
		rtshm_region_unreserve(region);
		rtshm_regions_changed();
	}
err_put:
	rtshm_region_put(region);
	return ERR_PTR(err);
}

/* rtshm_regions_lock held. From here on the region can be changed. */
void rtshm_region_insert(struct rtshm_region *region)
{
	lockdep_assert_held(&rtshm_regions_lock);
	region->live = true;
	rtshm_regions_changed();
}

/*
 * Another depth or other bytes: another ring. What can fail comes before what cannot
 * be undone. @ring is the old one afterwards, for the caller to free.
 */
static int rtshm_region_record(struct rtshm_region *region,
			       const struct rtshm_config *config,
			       struct rtshm_ring **ring,
			       struct netlink_ext_ack *extack)
{
	int err = 0;

	if (region->history) {
		err = rtshm_history_renew(region->history, ring);
		if (err)
			rtshm_refuse(extack, RTSHM_TEXT_READERS);
		else if (!config->record_depth)
			rtshm_history_shut(region->history);
	} else if (*ring) {
		err = rtshm_history_new(region, *ring, rtshm_samples);
		*ring = NULL;
		if (err)
			rtshm_refuse(extack, err == -ENOSPC ?
				     RTSHM_TEXT_MINORS : RTSHM_TEXT_RING_MEMORY);
	}
	if (err)
		return err;
	/* rtshm_region_info() */
	WRITE_ONCE(region->record_depth, config->record_depth);
	WRITE_ONCE(region->record_bytes, config->record_bytes);
	return 0;
}

/* Whether a ring is what the settings ask for: NULL for a depth of 0. */
static bool rtshm_ring_fits(const struct rtshm_ring *ring,
			    const struct rtshm_config *config)
{
	if (!ring || !config->record_depth)
		return !ring && !config->record_depth;
	return ring->depth == config->record_depth &&
	       ring->stride == sizeof(struct rtshm_sample) + config->record_bytes;
}

/**
 * rtshm_region_change() - change the settings of a region
 * @region: A live region.
 * @config: What rtshm_settings_of() gives of it, some of it changed.
 * @ring: A ring for its history, made by rtshm_ring_get(), or NULL; afterwards what is
 *	not in use, for the caller to free.
 * @extack: Where a refusal says why, or NULL.
 *
 * rtshm_regions_lock held. All or, with an errno, nothing is changed.
 *
 * Return: 1, 0 if it is what it was, or an errno; -EAGAIN asks for a ring of @config,
 * which is made without the lock.
 */
int rtshm_region_change(struct rtshm_region *region,
			const struct rtshm_config *config,
			struct rtshm_ring **ring,
			struct netlink_ext_ack *extack)
{
	bool hurry = config->period_ns < region->period_ns;
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
		if (!rtshm_ring_fits(*ring, config))
			return -EAGAIN;
		err = rtshm_region_record(region, config, ring, extack);
		if (err)
			return err;
	}
	rtshm_rate_give(region);
	/* Loaded by the next tick, each by itself. */
	WRITE_ONCE(region->period_ns, config->period_ns);
	rtshm_rate_take(region);
	if (hurry)
		rtshm_tick_hurry(region);
	WRITE_ONCE(region->task_budget_ns, config->task_budget_ns);
	WRITE_ONCE(region->task_long_max, config->task_long_max);
	if (config->print != region->print)
		rtshm_print_set_mode(region, config->print);
	rtshm_regions_changed();
	return 1;
}

/* rtshm_regions_lock held. From here on the region is gone, but for its name. */
void rtshm_region_withdraw(struct rtshm_region *region)
{
	lockdep_assert_held(&rtshm_regions_lock);
	region->live = false;
	region->visible = false;
	rtshm_regions_changed();
}

/*
 * Process context, no lock held: the thread of the region may have to wait for its
 * turn. The region is not live.
 */
void rtshm_region_stop(struct rtshm_region *region)
{
	rtshm_region_shut(region);
	/* After the stop, for the samples of the last ticks. */
	rtshm_history_shut(region->history);
}

/*
 * rtshm_regions_lock held. The region is stopped; the list's reference to it is the
 * caller's from here on.
 */
void rtshm_region_remove(struct rtshm_region *region)
{
	lockdep_assert_held(&rtshm_regions_lock);
	rtshm_tasks_gone(region);
	rtshm_region_unreserve(region);
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

	list_for_each_entry_safe(region, next, &rtshm_regions, list) {
		/* No write to a module parameter finds it from here on. */
		scoped_guard(mutex, &rtshm_regions_lock)
			rtshm_region_withdraw(region);
		rtshm_region_stop(region);
		scoped_guard(mutex, &rtshm_regions_lock)
			rtshm_region_remove(region);
		rtshm_print_tell_withheld(region);
		rtshm_region_put(region);
	}
	*ticks = rtshm_removed_ticks;
	*missed = rtshm_removed_missed;
	rtshm_devices_exit();
	rtshm_ticks_exit();
}
