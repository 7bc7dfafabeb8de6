// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least alternative to rtshm: a periodic timer that does
 * nothing, and a value that comes in by a system call.
 *
 *     echo 1000000 > /sys/module/rtshm_bare/parameters/period_ns    # 0: stop
 *     echo 42 > /sys/module/rtshm_bare/parameters/value
 *     ioctl(open("/dev/rtshm_bare"), BARE_VALUE, 42)
 *
 * With the parameter "keep", the timer also keeps by how many ns each tick was
 * late: /dev/rtshm_bare reads as these, __u32 each, since the timer was started.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/ioctl.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "compat.h"

#define BARE_VALUE	_IO('b', 0)
#define BARE_TICKS	65536U
#define BARE_PERIOD_MIN	10000U

static int value;
module_param(value, int, 0644);
static bool keep;
module_param(keep, bool, 0644);
static uint ticks;	/* stored by the timer alone while it runs */
module_param(ticks, uint, 0444);

static struct hrtimer bare_timer;
static uint period_ns;
static u32 lateness_ns[BARE_TICKS];

/* Hard interrupt. */
static enum hrtimer_restart bare_tick(struct hrtimer *timer)
{
	hrtimer_forward_now(timer, ns_to_ktime(period_ns));
	WRITE_ONCE(ticks, ticks + 1);
	return HRTIMER_RESTART;
}

/* Hard interrupt. */
static enum hrtimer_restart bare_tick_kept(struct hrtimer *timer)
{
	s64 late = ktime_sub(ktime_get(), hrtimer_get_expires(timer));

	if (ticks < BARE_TICKS)
		lateness_ns[ticks] = clamp_t(s64, late, 0, U32_MAX);
	return bare_tick(timer);
}

static int bare_set_period(const char *text, const struct kernel_param *kp)
{
	uint period;
	int err;

	err = kstrtouint(text, 0, &period);
	if (err)
		return err;
	if (period && period < BARE_PERIOD_MIN)
		return -ERANGE;
	/* Writes of parameters are one at a time. */
	if (period_ns)
		hrtimer_cancel(&bare_timer);
	period_ns = period;
	if (!period)
		return 0;
	ticks = 0;
	hrtimer_setup(&bare_timer, keep ? bare_tick_kept : bare_tick,
		      CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	hrtimer_start(&bare_timer, ktime_get(), HRTIMER_MODE_ABS_PINNED_HARD);
	return 0;
}

static const struct kernel_param_ops bare_period_ops = {
	.set = bare_set_period,
	.get = param_get_uint,
};
module_param_cb(period_ns, &bare_period_ops, &period_ns, 0644);

static ssize_t bare_read(struct file *file, char __user *buf, size_t count, loff_t *at)
{
	size_t bytes = min(READ_ONCE(ticks), BARE_TICKS) * sizeof(*lateness_ns);

	return simple_read_from_buffer(buf, count, at, lateness_ns, bytes);
}

static long bare_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	if (number != BARE_VALUE)
		return -ENOTTY;
	WRITE_ONCE(value, argument);
	return 0;
}

static const struct file_operations bare_fops = {
	.owner = THIS_MODULE,
	.read = bare_read,
	.unlocked_ioctl = bare_ioctl,
};

static struct miscdevice bare_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &bare_fops,
};

static int __init bare_init(void)
{
	return misc_register(&bare_device);
}

static void __exit bare_exit(void)
{
	misc_deregister(&bare_device);
	if (period_ns)
		hrtimer_cancel(&bare_timer);
}

module_init(bare_init);
module_exit(bare_exit);

MODULE_DESCRIPTION("What rtshm is measured against: an empty timer, values by system calls");
MODULE_LICENSE("GPL");
