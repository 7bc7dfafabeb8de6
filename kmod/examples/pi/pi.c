// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PI controller in the tick of a region, with a plant to control: copy this
 * directory, replace plant() and drive() by your own.
 *
 *     rtshm create pi --period 1ms --layout "setpoint:q16 ..."
 *     insmod rtshm_pi.ko
 *
 * The plant is simulated: first order, gain 1, time constant TAU_MS. With
 * ki = kp / tau the loop answers a step as 1 - exp(-t * kp / tau).
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/math64.h>
#include <linux/module.h>
#include <linux/time64.h>
#include <rtshm_task.h>

#include "pi.h"

#define TAU_MS	100

/* Fixed point of the inner state, 32.32: fine enough for a step of a millionth. */
#define SHIFT	16	/* bits more than struct pi has */

/*
 * The most that setpoint, gains and drive may be, 100.0, and the longest step,
 * 100 ms: within them no product below leaves 64 bits.
 */
#define MOST		(100LL << 16)
#define STEP_MAX_US	100000

static char *region = "pi";
module_param(region, charp, 0444);
MODULE_PARM_DESC(region, "The region to work in (default pi)");

/* The tick's own: it runs on one cpu at a time. */
static s64 integral;
static s64 plant_state;

/* What the plant does in a period under this drive: y' = (u - y) / tau. */
static void plant(s64 drive, s64 step_us)
{
	plant_state += div_s64((drive - plant_state) * step_us,
			       TAU_MS * USEC_PER_MSEC);
}

/* The controller: u = kp * e + ki * integral of e, both within what can be driven. */
static s64 drive(s64 error, s64 kp, s64 ki, s64 step_us)
{
	integral += div_s64((error >> SHIFT) * ki * step_us, USEC_PER_SEC);
	integral = clamp(integral, -MOST << SHIFT, MOST << SHIFT);
	return clamp((error >> SHIFT) * kp + integral,
		     -MOST << SHIFT, MOST << SHIFT);
}

/* Hard interrupt. */
static void pi_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct pi __shm *shared = tick->record;
	s64 step_us = min(div_u64(tick->period_ns, NSEC_PER_USEC), STEP_MAX_US);
	s64 setpoint, kp, ki, error, u;

	/* Each loaded once, and within its limits whatever user space stores. */
	setpoint = clamp_t(s64, rtshm_read_s32(&shared->setpoint), -MOST, MOST);
	kp = clamp_t(s64, rtshm_read_s32(&shared->kp), 0, MOST);
	ki = clamp_t(s64, rtshm_read_s32(&shared->ki), 0, MOST);

	error = (setpoint << SHIFT) - plant_state;
	u = drive(error, kp, ki, step_us);
	rtshm_write_s32(&shared->output, plant_state >> SHIFT);
	rtshm_write_s32(&shared->error, error >> SHIFT);
	rtshm_write_s32(&shared->drive, u >> SHIFT);
	plant(u, step_us);
}

static struct rtshm_task pi_task = {
	.name = "pi",
	.layout_bytes = sizeof(struct pi),
	.tick = pi_tick,
};

static int __init pi_init(void)
{
	int err = rtshm_task_add(region, &pi_task);

	if (err)
		pr_err("not loaded: no task in region %s (error %d)\n", region, err);
	return err;
}

static void __exit pi_exit(void)
{
	rtshm_task_remove(&pi_task);
}

module_init(pi_init);
module_exit(pi_exit);

MODULE_DESCRIPTION("PI controller in the tick of an rtshm region");
MODULE_LICENSE("GPL");
