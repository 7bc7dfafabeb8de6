// SPDX-License-Identifier: GPL-2.0-only
/*
 * A queue of values for one field, one in each tick: rtshm.Queue, `rtshm queue`.
 *
 * A tick that finds the queue empty leaves the field as it is. Between two values that is
 * an underrun; before the first and after the last it is none, so a tick counts as one
 * when the value after it is there.
 */

#include <linux/bpf.h>

#include "record.h"

RTSHM_LICENSE("GPL");

/* Constant once loaded: rtshm/queued.py packs it. The verifier knows the offset. */
const volatile struct {
	__u32 offset;
	__u32 bytes;
} given;

/* As <bpf/bpf_helpers.h> has it, for which nobody then has to install libbpf-dev. */
static long (*const pop)(void *map, void *value) = (void *)BPF_FUNC_map_pop_elem;

struct {
	int (*type)[BPF_MAP_TYPE_QUEUE];
	int (*max_entries)[1 << 16];
	__u64 *value;
} values __attribute__((section(".maps"), used));

struct {
	__u64 taken;
	__u64 underruns;
	__u64 empty;		/* ticks since the last value */
} counts;

RTSHM_TASK int queue(struct rtshm_tick *tick)
{
	__u64 value;

	if (pop(&values, &value)) {
		if (counts.taken)
			counts.empty++;
		return 0;
	}
	store(tick, given.offset, given.bytes, value);
	counts.taken++;
	counts.underruns += counts.empty;
	counts.empty = 0;
	return 0;
}
