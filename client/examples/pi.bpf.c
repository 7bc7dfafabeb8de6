// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PI controller in the tick of a region, with a plant to control, in BPF: what
 * kmod/examples/pi/pi.c does, bit for bit, without a module to build.
 *
 *     rtshm task add pi pi.bpf.c
 *
 * The plant is simulated: first order, gain 1, time constant TAU_US. Fixed point: 1.0 is
 * 65536 in the record, and 2^32 in the state here.
 */

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

#define TAU_US		100000
#define SHIFT		16
#define MOST		(100LL << 16)
#define STEP_MAX_US	100000

/* The task's own, and zero when it is loaded. */
static __s64 integral, plant;

static __s64 clamp(__s64 value, __s64 low, __s64 high)
{
	return value < low ? low : value > high ? high : value;
}

/* Towards zero: BPF before Linux 6.6 divides only without a sign. */
static __s64 divide(__s64 value, __u64 by)
{
	return value < 0 ? -(__s64)(-(__u64)value / by) : (__u64)value / by;
}

/* u = kp * e + ki * integral of e, both within what can be driven. */
static __s64 drive(__s64 error, __s64 kp, __s64 ki, __s64 step_us)
{
	integral += divide((error >> SHIFT) * ki * step_us, 1000000);
	integral = clamp(integral, -(MOST << SHIFT), MOST << SHIFT);
	return clamp((error >> SHIFT) * kp + integral, -(MOST << SHIFT), MOST << SHIFT);
}

RTSHM_TASK int pi(struct rtshm_tick *tick)
{
	__s64 step_us = clamp(tick->period_ns / 1000, 0, STEP_MAX_US);
	__s64 setpoint = clamp(RECORD(tick)->setpoint, -MOST, MOST);
	__s64 kp = clamp(RECORD(tick)->kp, 0, MOST);
	__s64 ki = clamp(RECORD(tick)->ki, 0, MOST);
	__s64 error = (setpoint << SHIFT) - plant;
	__s64 u = drive(error, kp, ki, step_us);

	RECORD(tick)->output = plant >> SHIFT;
	RECORD(tick)->error = error >> SHIFT;
	RECORD(tick)->drive = u >> SHIFT;
	/* What the plant does in a period under this drive: y' = (u - y) / tau. */
	plant += divide((u - plant) * step_us, TAU_US);
	return 0;
}
