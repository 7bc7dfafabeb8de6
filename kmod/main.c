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

#include "rtshm.h"

/* Both under kernel_param_lock(), which the set operations are called with. */
static struct rtshm_region *rtshm_default;
static bool rtshm_loading = true;

static u64 period_ns = RTSHM_PERIOD_DEFAULT_NS;
static u64 size = PAGE_SIZE;
static bool print = true;

/*
 * While the module loads there is nobody to tell the limits but the log; later
 * the writer in sysfs has the errno.
 */
static __printf(4, 5) int rtshm_refuse(const struct kernel_param *kp,
				       const char *val, int err,
				       const char *limits, ...)
{
	struct va_format vaf = { .fmt = limits };
	va_list args;

	if (rtshm_loading) {
		va_start(args, limits);
		vaf.va = &args;
		pr_err("%s=%.40s refused (error %d): give %pV\n",
		       kp->name, val, err, &vaf);
		va_end(args);
	}
	return err;
}

static int rtshm_set_period_ns(const char *val, const struct kernel_param *kp)
{
	u64 ns;
	int err;

	err = kstrtou64(val, 0, &ns);
	if (!err && (ns < RTSHM_PERIOD_MIN_NS || ns > RTSHM_PERIOD_MAX_NS))
		err = -ERANGE;
	if (err)
		return rtshm_refuse(kp, val, err, "%llu to %llu ns",
				    RTSHM_PERIOD_MIN_NS, RTSHM_PERIOD_MAX_NS);

	period_ns = ns;
	if (rtshm_default)
		WRITE_ONCE(rtshm_default->period_ns, ns);
	return 0;
}

static int rtshm_set_size(const char *val, const struct kernel_param *kp)
{
	u64 bytes;
	int err;

	err = kstrtou64(val, 0, &bytes);
	if (!err && (bytes < PAGE_SIZE || bytes > RTSHM_SIZE_MAX))
		err = -ERANGE;
	if (!err && !PAGE_ALIGNED(bytes))
		err = -EINVAL;
	if (err)
		return rtshm_refuse(kp, val, err,
				    "%lu to %llu bytes, a multiple of %lu",
				    PAGE_SIZE, RTSHM_SIZE_MAX, PAGE_SIZE);

	size = bytes;
	return 0;
}

static int rtshm_set_print(const char *val, const struct kernel_param *kp)
{
	bool on;
	int err;

	err = kstrtobool(val, &on);
	if (err)
		return rtshm_refuse(kp, val, err, "0 or 1");

	print = on;
	if (rtshm_default)
		rtshm_tick_set_print(rtshm_default, on);
	return 0;
}

static const struct kernel_param_ops rtshm_period_ns_ops = {
	.set = rtshm_set_period_ns,
	.get = param_get_ullong,
};

static const struct kernel_param_ops rtshm_size_ops = {
	.set = rtshm_set_size,
	.get = param_get_ullong,
};

static const struct kernel_param_ops rtshm_print_ops = {
	.set = rtshm_set_print,
	.get = param_get_bool,
};

module_param_cb(period_ns, &rtshm_period_ns_ops, &period_ns, 0644);
MODULE_PARM_DESC(period_ns, "Period of the default region's tick in ns, 100000 to 3600000000000; a change applies from the next tick (default 500000000)");
module_param_cb(size, &rtshm_size_ops, &size, 0444);
MODULE_PARM_DESC(size, "Size of the default region in bytes, a multiple of the page size, 1 GiB at most (default one page)");
module_param_cb(print, &rtshm_print_ops, &print, 0644);
MODULE_PARM_DESC(print, "Whether each tick of the default region prints its value (default 1)");

static int __init rtshm_init(void)
{
	struct rtshm_region *region;
	int err;

	err = rtshm_regions_init();
	if (err) {
		pr_err("not loaded: no device numbers or class (error %d)\n", err);
		return err;
	}

	/* No change of a parameter falls between its use here and the region. */
	kernel_param_lock(THIS_MODULE);
	region = rtshm_region_new("default", size, period_ns, print,
				  &rtshm_state_fops);
	if (!IS_ERR(region))
		rtshm_default = region;
	rtshm_loading = false;
	kernel_param_unlock(THIS_MODULE);

	if (IS_ERR(region)) {
		err = PTR_ERR(region);
		pr_err("not loaded: no region of %llu bytes (error %d)\n", size, err);
		goto err_regions;
	}

	pr_info("loaded: default has %zu bytes and a tick every %llu ns\n",
		region->size, READ_ONCE(region->period_ns));
	rtshm_tick_start(region);
	return 0;

err_regions:
	rtshm_regions_exit();
	return err;
}

static void __exit rtshm_exit(void)
{
	struct rtshm_region *region = rtshm_default;
	u64 ticks, missed;

	/* The parameters are still in sysfs: let no write reach the region. */
	kernel_param_lock(THIS_MODULE);
	rtshm_default = NULL;
	kernel_param_unlock(THIS_MODULE);

	rtshm_region_shut(region);
	ticks = region->ticks;
	missed = region->missed;
	rtshm_region_put(region);
	rtshm_regions_exit();
	pr_info("unloaded after %llu ticks, %llu missed\n", ticks, missed);
}

module_init(rtshm_init);
module_exit(rtshm_exit);

MODULE_DESCRIPTION("Shared memory between a periodic kernel task and user space");
MODULE_LICENSE("GPL");
