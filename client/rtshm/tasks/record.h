/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of any region, by offsets that are constant once the program is loaded. Each is
 * one load or store, by the pointer to the record as RECORD() has it.
 */
#ifndef RTSHM_TASKS_RECORD_H
#define RTSHM_TASKS_RECORD_H

#include <rtshm_region.h>

#define AT(tick, type, offset) (*(volatile type *)(*(volatile __u64 *)&(tick)->record + (offset)))

static __attribute__((always_inline, unused)) __u64 load(struct rtshm_tick *tick, __u32 offset,
							 __u32 bytes)
{
	switch (bytes) {
	case 1:
		return AT(tick, __u8, offset);
	case 2:
		return AT(tick, __u16, offset);
	case 4:
		return AT(tick, __u32, offset);
	default:
		return AT(tick, __u64, offset);
	}
}

static __attribute__((always_inline, unused)) void store(struct rtshm_tick *tick, __u32 offset,
							 __u32 bytes, __u64 value)
{
	switch (bytes) {
	case 1:
		AT(tick, __u8, offset) = value;
		break;
	case 2:
		AT(tick, __u16, offset) = value;
		break;
	case 4:
		AT(tick, __u32, offset) = value;
		break;
	default:
		AT(tick, __u64, offset) = value;
	}
}

#endif
