// SPDX-License-Identifier: GPL-2.0-only
/* Does nothing, for bench/tick.py to measure. */

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

RTSHM_TASK int empty(struct rtshm_tick *tick)
{
	return 0;
}
