/* SPDX-License-Identifier: GPL-2.0-only */
/* What the controller shares with user space: the region's layout says the same. */
#ifndef PI_H
#define PI_H

#include <linux/types.h>

/*
 * Numbers are fixed point, 1.0 is 65536, as q16 in the layout: the kernel does not
 * compute with floating point in an interrupt.
 */
struct pi {
	__s32	setpoint;	/* written by user space */
	__s32	kp;		/* proportional gain */
	__s32	ki;		/* integral gain, per second */
	__s32	output;		/* written by the controller: the plant's output */
	__s32	error;		/* setpoint - output */
	__s32	drive;		/* what the controller gives the plant */
};

#endif
