// SPDX-License-Identifier: GPL-2.0-only
/*
 * Safe values for when the writer dies: rtshm.SafeValues, `rtshm task safe`.
 *
 * The writer is alive in the tick that takes its announcement, or that finds another
 * value in a field of its own. In the first tick that is due `after_ns` later, and in
 * each one until somebody re-arms it, the program stores the safe values over those of
 * the writer.
 *
 * The mark, a field of the record, says so: n during the nth time, -n afterwards. To
 * store -n there during the nth time is to re-arm. Nothing else that is stored there
 * stays for longer than a tick.
 */

#include "record.h"

RTSHM_LICENSE("GPL");

/* As rtshm/safe.py packs it. */
#define STORES_MAX	64
#define NOWHERE		(~0U)

struct place {
	__u32 offset;		/* in the record; NOWHERE: there is no such field */
	__u32 bytes;
};

struct store {
	struct place place;
	__u64 value;
};

/* Constant once loaded. The verifier knows its values, and so each offset. */
const volatile struct {
	__u64 after_ns;
	struct place mark;
	struct place alive;
	struct place age;
	__u64 count;
	struct store stores[STORES_MAX];
} given;

/* The program's own, which `rtshm show` reads: see State in rtshm/safe.py. */
struct {
	__u64 alive_ns;		/* when the tick with the last sign of life was due */
	__u64 alive_value;
	__s32 times;
	_Bool begun, tripped;
} state;

/* Whether this tick has a sign of life of the writer. */
static __attribute__((always_inline)) _Bool is_alive(struct rtshm_tick *tick)
{
	__u64 before = state.alive_value;

	if (given.alive.offset == NOWHERE)
		return tick->announced;
	state.alive_value = load(tick, given.alive.offset, given.alive.bytes);
	return state.alive_value != before;
}

RTSHM_TASK int safe(struct rtshm_tick *tick)
{
	/* When the tick was due: on the grid, whatever kept it. */
	__u64 due_ns = tick->time_ns - tick->lateness_ns;
	_Bool alive = is_alive(tick);
	__s32 mark = AT(tick, __s32, given.mark.offset);

	if (!state.begun) {
		/* A program before this one has left its mark, and what it stored. */
		state.begun = 1;
		alive = 1;
		state.times = (mark < 0 ? 0U - mark : mark) & 0x7fffffff;
		state.tripped = mark > 0;
	}
	if (state.tripped && mark == -state.times) {
		state.tripped = 0;
		alive = 1;
	}
	if (alive)
		state.alive_ns = due_ns;
	if (!state.tripped && due_ns - state.alive_ns >= given.after_ns) {
		state.tripped = 1;
		state.times++;
	}
	if (given.age.offset != NOWHERE)
		AT(tick, __u64, given.age.offset) = due_ns - state.alive_ns;
	if (mark != (state.tripped ? state.times : -state.times))
		AT(tick, __s32, given.mark.offset) = state.tripped ? state.times : -state.times;
	if (!state.tripped)
		return 0;
	for (__u32 i = 0; i < STORES_MAX; i++) {
		if (i >= given.count)
			break;
		store(tick, given.stores[i].place.offset, given.stores[i].place.bytes,
		      given.stores[i].value);
	}
	return 0;
}
