// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PI controller in the tick of a region, with a plant to control: copy this
 * directory, put your own in the place of plant() and drive().
 *
 *     rtshm create control --period 1ms --layout "setpoint:s32 ..."
 *     insmod rtshm_control.ko
 *
 * The plant is simulated: first order, gain 1, time constant TAU_MS. With
 * ki = kp / tau the loop answers a step as 1 - exp(-t * kp / tau).
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/math64.h>
#include <linux/module.h>
#include <linux/time64.h>
#include <rtshm_task.h>

#include "control.h"

#define TAU_MS	100

/* Fixed point of the inner state, 32.32: fine enough for a step of a millionth. */
#define SHIFT	16	/* bits more than struct control has */

static char *region = "control";
module_param(region, charp, 0444);
MODULE_PARM_DESC(region, "The region to work in (default control)");

/* The tick's own: it runs on one cpu at a time. */
static s64 integral;
static s64 plant_state;

/* What the plant does in a period under this drive: y' = (u - y) / tau. */
static void plant(s64 drive, u64 period_ns)
{
	s64 step_us = div_u64(period_ns, NSEC_PER_USEC);

	plant_state += div_s64((drive - plant_state) * step_us,
			       TAU_MS * USEC_PER_MSEC);
}

/* The controller: u = kp * e + ki * integral of e. */
static s64 drive(s64 error, s32 kp, s32 ki, u64 period_ns)
{
	s64 step_us = div_u64(period_ns, NSEC_PER_USEC);

	integral += div_s64((error >> SHIFT) * ki * step_us, USEC_PER_SEC);
	return (error >> SHIFT) * kp + integral;
}

/* Hard interrupt. */
static void control_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct control __shm *shared = tick->record;
	struct control now;
	s64 error, u;

	/* setpoint and gains of one write(2), never half of it */
	if (rtshm_record_read(tick, 0, &now, sizeof(now)))
		return;

	error = ((s64)now.setpoint << SHIFT) - plant_state;
	u = drive(error, now.kp, now.ki, tick->period_ns);
	rtshm_write_s32(&shared->output, plant_state >> SHIFT);
	rtshm_write_s32(&shared->error, error >> SHIFT);
	rtshm_write_s32(&shared->drive, u >> SHIFT);
	plant(u, tick->period_ns);
}

static struct rtshm_task control_task = {
	.name = "control",
	.owner = THIS_MODULE,
	.record_bytes = sizeof(struct control),
	.tick = control_tick,
};

static int __init control_init(void)
{
	int err = rtshm_task_add(region, &control_task);

	if (err)
		pr_err("not loaded: no task in region %s (error %d)\n", region, err);
	return err;
}

static void __exit control_exit(void)
{
	rtshm_task_remove(&control_task);
}

module_init(control_init);
module_exit(control_exit);

MODULE_DESCRIPTION("PI controller in the tick of an rtshm region");
MODULE_LICENSE("GPL");
