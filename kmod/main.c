// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtshm: shared memory between a periodic task in the kernel and user space.
 *
 * Loading the module makes one region, "default", that any program can map:
 *
 *     insmod rtshm.ko
 *     printf '\052\0\0\0\1\0\0\0' > /dev/rtshm/default
 *     dmesg -w                      # rtshm: default: shared mem=42
 *
 * This file: the module parameters, and the order of loading and unloading.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netlink.h>

#include "rtshm.h"
#include "tick.h"

/* Of the region that loading makes; later `rtshm set default` changes it. */
static u64 period_ns = RTSHM_PERIOD_DEFAULT_NS;
static u64 size = PAGE_SIZE;
static uint print = RTSHM_PRINT_MODE_EVERY_TICK;

module_param(period_ns, ullong, 0444);
MODULE_PARM_DESC(period_ns, "Period of the default region's tick in ns, period_min_ns to 3600000000000 (default 500000000)");
module_param(size, ullong, 0444);
MODULE_PARM_DESC(size, "Size of the default region in bytes, a multiple of the page size, 1 GiB at most (default one page)");
module_param(print, uint, 0444);
MODULE_PARM_DESC(print, "When a tick of the default region prints its value: 0 never, 1 every tick, 2 changes (default 1)");

module_param_named(period_min_ns, rtshm_limits.period_min_ns, ullong, 0444);
MODULE_PARM_DESC(period_min_ns, "Shortest period of a region in ns, 10000 or more (default 100000)");
module_param_named(rate_max_hz, rtshm_limits.rate_max_hz, ullong, 0444);
MODULE_PARM_DESC(rate_max_hz, "Maximum ticks per second of all regions, 1 to 10000000 (default 125000)");
module_param_named(bytes_max, rtshm_limits.bytes_max, ullong, 0444);
MODULE_PARM_DESC(bytes_max, "Maximum bytes of all regions, up to 1 TiB (default 4 GiB)");
module_param_named(regions_max, rtshm_limits.regions_max, ullong, 0444);
MODULE_PARM_DESC(regions_max, "Maximum number of regions, 1 to 4096 (default 256)");
module_param_named(history_max, rtshm_limits.history_max, ullong, 0444);
MODULE_PARM_DESC(history_max, "Maximum samples that a region keeps, up to 1048576 (default 65536)");

module_param_named(group, rtshm_limits.group, ullong, 0444);
MODULE_PARM_DESC(group, "Id of the group whose members may create regions of their own (default 4294967295: nobody)");
module_param_named(group_regions, rtshm_limits.group_regions, ullong, 0444);
MODULE_PARM_DESC(group_regions, "Maximum number of regions of each member of the group, up to 4096 (default 8)");
module_param_named(group_bytes, rtshm_limits.group_bytes, ullong, 0444);
MODULE_PARM_DESC(group_bytes, "Maximum bytes of each member's regions and samples, up to 1 TiB (default 16 MiB)");
module_param_named(group_ticks_hz, rtshm_limits.group_ticks_hz, ullong, 0444);
MODULE_PARM_DESC(group_ticks_hz, "Maximum ticks per second of each member's regions, up to 10000000 (default 4000)");

/* Checks the parameters that are limits; those of the default region are a region's. */
static int __init rtshm_limits_check(void)
{
	const struct {
		const char *name;
		u64 value, min, max;
	} numbers[] = {
		{ "period_min_ns", rtshm_limits.period_min_ns,
		  RTSHM_PERIOD_FLOOR_NS, RTSHM_PERIOD_MAX_NS },
		{ "rate_max_hz", rtshm_limits.rate_max_hz, 1, 10000000 },
		{ "bytes_max", rtshm_limits.bytes_max, PAGE_SIZE, 1ULL << 40 },
		{ "regions_max", rtshm_limits.regions_max, 1, 4096 },
		{ "history_max", rtshm_limits.history_max, 0, 1 << 20 },
		{ "group", rtshm_limits.group, 0, RTSHM_GROUP_NONE },
		{ "group_regions", rtshm_limits.group_regions, 0, 4096 },
		{ "group_bytes", rtshm_limits.group_bytes, 0, 1ULL << 40 },
		{ "group_ticks_hz", rtshm_limits.group_ticks_hz, 0, 10000000 },
	};

	for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (numbers[i].value >= numbers[i].min && numbers[i].value <= numbers[i].max)
			continue;
		pr_err("not loaded: %s=%llu (error %d): give %llu to %llu\n",
		       numbers[i].name, numbers[i].value, -ERANGE, numbers[i].min,
		       numbers[i].max);
		return -ERANGE;
	}
	/* A clock of low resolution would round a shorter period up. */
	rtshm_limits.period_min_ns = max_t(u64, rtshm_limits.period_min_ns,
					   hrtimer_resolution);
	return 0;
}

static int __init rtshm_make_default(void)
{
	struct netlink_ext_ack extack = {};
	struct rtshm_region *region;
	struct rtshm_config config;

	rtshm_config_init(&config, "default");
	config.size = size;
	config.set.period_ns = period_ns;
	config.set.print = print;
	config.at_load = true;
	region = rtshm_region_make(&config, &extack);
	if (IS_ERR(region)) {
		pr_err("not loaded: no region of %llu bytes with a tick every %llu ns (error %ld): %s\n",
		       size, period_ns, PTR_ERR(region), extack._msg ?: "no memory or device");
		return PTR_ERR(region);
	}
	scoped_guard(mutex, &rtshm_regions_lock) {
		region->live = true;
		rtshm_netlink_open();
	}
	rtshm_region_announce(region, false);
	rtshm_region_unclaim(region);
	return 0;
}

/* What rtshm_init() made, last first. Not __exit: a load that fails comes by here. */
static void rtshm_undo(void)
{
	rtshm_netlink_exit();
	rtshm_regions_exit();
	rtshm_devices_exit();
	rtshm_timers_exit();
}

static int __init rtshm_init(void)
{
	int err;

	err = rtshm_limits_check();
	if (err)
		return err;
	err = rtshm_timers_init();
	if (err)
		goto err_none;
	err = rtshm_devices_init();
	if (err)
		goto err_timers;
	err = rtshm_netlink_init();
	if (err)
		goto err_devices;
	/*
	 * The last that can fail: from the first node on somebody may have it
	 * open, and nobody waits for the files of a module that fails to load.
	 */
	err = rtshm_make_default();
	if (err)
		rtshm_undo();
	return err;

err_devices:
	rtshm_devices_exit();
err_timers:
	rtshm_timers_exit();
err_none:
	pr_err("not loaded: no cpu state, device numbers or netlink family (error %d)\n", err);
	return err;
}

static void __exit rtshm_exit(void)
{
	rtshm_undo();
	pr_info("unloaded after %llu ticks, %llu missed\n", rtshm_removed_ticks,
		rtshm_removed_missed);
}

module_init(rtshm_init);
module_exit(rtshm_exit);

MODULE_DESCRIPTION("Shared memory between a periodic kernel task and user space");
MODULE_LICENSE("GPL");
/* The same as in dkms.conf. */
MODULE_VERSION("0.1.0");
