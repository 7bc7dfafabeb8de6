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
 * This file: the module parameters, and the order of bring-up and tear-down.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netlink.h>
#include <linux/sysfs.h>

#include "rtshm.h"

/* The region that loading makes, and that three of the parameters are of. */
#define RTSHM_DEFAULT	"default"

/* Until the default region is made: under rtshm_regions_lock, as are these. */
static bool rtshm_loading = true;
static u64 period_ns = RTSHM_PERIOD_DEFAULT_NS;
static u64 size = PAGE_SIZE;
static u64 print = RTSHM_PRINT_MODE_EVERY_TICK;

/* A number: where it is kept, and its limits as such. */
struct rtshm_number {
	u64	*value;
	u64	min;
	u64	max;
};

/*
 * While the module loads there is nobody to tell the limits but the log; later
 * the writer in sysfs has the errno.
 */
static int rtshm_parse(const char *val, const struct kernel_param *kp, u64 *value)
{
	const struct rtshm_number *number = kp->arg;
	int err;

	err = kstrtou64(val, 0, value);
	if (!err && (*value < number->min || *value > number->max))
		err = -ERANGE;
	if (err && rtshm_loading)
		pr_err("%s=%.40s refused (error %d): give %llu to %llu\n",
		       kp->name, val, err, number->min, number->max);
	return err;
}

static int rtshm_set_number(const char *val, const struct kernel_param *kp)
{
	const struct rtshm_number *number = kp->arg;
	u64 value;
	int err;

	err = rtshm_parse(val, kp, &value);
	if (!err)
		*number->value = value;
	return err;
}

static int rtshm_get_number(char *buffer, const struct kernel_param *kp)
{
	const struct rtshm_number *number = kp->arg;

	return sysfs_emit(buffer, "%llu\n", *number->value);
}

/* As if it were set by netlink: the same limits, the same notification. */
static int rtshm_set_setting(const char *val, const struct kernel_param *kp)
{
	const struct rtshm_number *number = kp->arg;
	struct rtshm_ring *ring = NULL;
	struct rtshm_region *region;
	struct rtshm_config config;
	u64 value;
	int err;

	guard(mutex)(&rtshm_regions_lock);
	if (rtshm_loading)
		return rtshm_set_number(val, kp);
	err = rtshm_parse(val, kp, &value);
	if (err)
		return err;
	region = rtshm_region_find(RTSHM_DEFAULT);
	if (!region)
		return -ENODEV;
	rtshm_settings_of(&config, region);
	if (number->value == &period_ns)
		config.period_ns = value;
	else
		config.print = value;
	/* No other depth, so no ring. */
	err = rtshm_region_change(region, &config, &ring, NULL);
	if (err > 0)
		rtshm_netlink_changed(region);
	return min(err, 0);
}

static int rtshm_get_setting(char *buffer, const struct kernel_param *kp)
{
	const struct rtshm_number *number = kp->arg;
	const struct rtshm_region *region;

	guard(mutex)(&rtshm_regions_lock);
	region = rtshm_region_find(RTSHM_DEFAULT);
	if (!region)
		return -ENODEV;
	return sysfs_emit(buffer, "%llu\n", number->value == &period_ns ?
					    region->period_ns : region->print);
}

static const struct kernel_param_ops rtshm_number_ops = {
	.set = rtshm_set_number,
	.get = rtshm_get_number,
};

static const struct kernel_param_ops rtshm_setting_ops = {
	.set = rtshm_set_setting,
	.get = rtshm_get_setting,
};

#define RTSHM_PARAM(param, variable, low, high, ops, perm)		\
	static struct rtshm_number rtshm_##param##_number = {		\
		.value = &(variable),					\
		.min = (low),						\
		.max = (high),						\
	};								\
	module_param_cb(param, &(ops), &rtshm_##param##_number, perm)

RTSHM_PARAM(period_ns, period_ns, RTSHM_PERIOD_FLOOR_NS, RTSHM_PERIOD_MAX_NS,
	    rtshm_setting_ops, 0644);
MODULE_PARM_DESC(period_ns, "Period of the default region's tick in ns, period_min_ns to 3600000000000; a shorter one applies at once, a longer one from the next tick (default 500000000)");
RTSHM_PARAM(size, size, PAGE_SIZE, RTSHM_SIZE_MAX, rtshm_number_ops, 0444);
MODULE_PARM_DESC(size, "Size of the default region in bytes, a multiple of the page size, 1 GiB at most (default one page)");
RTSHM_PARAM(print, print, RTSHM_PRINT_MODE_OFF, RTSHM_PRINT_MODE_CHANGES,
	    rtshm_setting_ops, 0644);
MODULE_PARM_DESC(print, "When a tick of the default region prints its value: 0 never, 1 every tick, 2 changes (default 1)");

RTSHM_PARAM(period_min_ns, rtshm_limits.period_min_ns, RTSHM_PERIOD_FLOOR_NS,
	    RTSHM_PERIOD_MAX_NS, rtshm_number_ops, 0444);
MODULE_PARM_DESC(period_min_ns, "Shortest period of a region in ns, 10000 or more (default 100000)");
RTSHM_PARAM(rate_max_hz, rtshm_limits.rate_max_hz, 1, 10000000,
	    rtshm_number_ops, 0444);
MODULE_PARM_DESC(rate_max_hz, "Most ticks of all regions in a second, 1 to 10000000 (default 125000)");
RTSHM_PARAM(bytes_max, rtshm_limits.bytes_max, PAGE_SIZE, 1ULL << 40,
	    rtshm_number_ops, 0444);
MODULE_PARM_DESC(bytes_max, "Most bytes of all regions, 1 TiB at most (default 4 GiB)");
RTSHM_PARAM(regions_max, rtshm_limits.regions_max, 1, RTSHM_REGIONS_MAX,
	    rtshm_number_ops, 0444);
MODULE_PARM_DESC(regions_max, "Most regions, 1 to 4096 (default 256)");
RTSHM_PARAM(depth_max, rtshm_limits.depth_max, 0, 1 << 20, rtshm_number_ops, 0444);
MODULE_PARM_DESC(depth_max, "Most samples that a region may keep, 1048576 at most (default 65536)");

static int __init rtshm_make_default(void)
{
	struct netlink_ext_ack extack = {};
	struct rtshm_region *region;
	struct rtshm_config config;

	scoped_guard(mutex, &rtshm_regions_lock)
		rtshm_loading = false;
	rtshm_config_init(&config, RTSHM_DEFAULT);
	config.size = size;
	config.period_ns = period_ns;
	config.print = print;
	config.at_load = true;
	region = rtshm_region_make(&config, &extack);
	if (IS_ERR(region)) {
		pr_err("not loaded: no region of %llu bytes with a tick every %llu ns (error %ld): %s\n",
		       size, period_ns, PTR_ERR(region),
		       extack._msg ?: "no device");
		return PTR_ERR(region);
	}
	guard(mutex)(&rtshm_regions_lock);
	rtshm_region_insert(region);
	rtshm_netlink_open();
	return 0;
}

static int __init rtshm_init(void)
{
	u64 ticks, missed;
	int err;

	err = rtshm_regions_init(&rtshm_state_fops, &rtshm_sample_fops);
	if (err) {
		pr_err("not loaded: no device numbers, class or cpu state (error %d)\n", err);
		return err;
	}
	err = rtshm_tasks_init();
	if (err) {
		pr_err("not loaded: no notice of modules that go (error %d)\n", err);
		goto err_regions;
	}
	err = rtshm_netlink_init();
	if (err) {
		pr_err("not loaded: no generic netlink family (error %d)\n", err);
		goto err_tasks;
	}
	/*
	 * The last that can fail: from the first node on somebody may have it
	 * open, and nobody waits for the files of a module that fails to load.
	 */
	err = rtshm_make_default();
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	rtshm_netlink_exit();
err_tasks:
	rtshm_tasks_exit();
err_regions:
	rtshm_regions_exit(&ticks, &missed);
	return err;
}

static void __exit rtshm_exit(void)
{
	u64 ticks, missed;

	rtshm_netlink_exit();
	rtshm_tasks_exit();
	rtshm_regions_exit(&ticks, &missed);
	pr_info("unloaded after %llu ticks, %llu missed\n", ticks, missed);
}

module_init(rtshm_init);
module_exit(rtshm_exit);

MODULE_DESCRIPTION("Shared memory between a periodic kernel task and user space");
MODULE_LICENSE("GPL");
