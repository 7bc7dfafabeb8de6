// SPDX-License-Identifier: GPL-2.0-only
/* Counts the ticks in the record, and says which they were. */

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

RTSHM_TASK int count(struct rtshm_tick *tick)
{
	RECORD(tick)->output++;
	RECORD(tick)->error = tick->number;
	RECORD(tick)->drive = tick->announced ? tick->some_int : 0;
	return 0;
}
