// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints every field of the region `motor`, by the header that `rtshm header
 * motor` prints, and stores others.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/rtshm.h>
#include "../lib/streams.h"
#include "motor.h"

int main(void)
{
	struct region_motor *motor;
	char *memory;

	open_streams();
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		      open("/dev/rtshm/motor", O_RDWR), 0);
	if (memory == MAP_FAILED)
		return 1;
	motor = (void *)(memory + sizeof(struct rtshm_word));
	printf("%.17g %.9g %d %d %d %d %d %d %d %d %d %.6s %d %d %d %d\n",
	       motor->speed, motor->gain, motor->mode,
	       motor->axes[0], motor->axes[1], motor->axes[2],
	       motor->points[0].x, motor->points[0].y, motor->points[1].x, motor->points[1].y,
	       motor->flags, (char *)motor->tag,
	       REGION_MOTOR_MODE_OFF, REGION_MOTOR_MODE_ON,
	       REGION_MOTOR_FLAGS_RUN, REGION_MOTOR_FLAGS_FAULT);
	motor->speed = -0.1;
	motor->gain = 0.1f;
	motor->mode = REGION_MOTOR_MODE_OFF;
	motor->axes[0] = -10;
	motor->axes[1] = 20;
	motor->axes[2] = -30;
	motor->points[0] = (struct region_motor_points){ 11, 12 };
	motor->points[1] = (struct region_motor_points){ 13, 14 };
	motor->flags = REGION_MOTOR_FLAGS_FAULT;
	memcpy(motor->tag, "C\1\2\3\4\5", 6);
	return 0;
}
