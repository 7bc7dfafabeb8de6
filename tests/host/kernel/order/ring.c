// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tick replaces sample 1, the only one that is kept, by its own while a reader copies:
 * the reader has one of them, whole, and knows which.
 */

#include <linux/rtshm.h>

/* In words, of a sample with a record of one. */
#define TICK	0
#define RECORD	(sizeof(struct rtshm_sample) / 8)
#define SAMPLE	(RECORD + 1)

struct shared {
	__u64 slot[SAMPLE];
};

#include "kernel.h"

struct rtshm_ring;

/* The one slot. */
static void *rtshm_ring_slot(struct rtshm_ring *ring, u32 index)
{
	__CPROVER_assert(!index, "the slot");
	return shared.slot;
}

/* cbmc has no pointer that another function stores, where there are threads. */
typedef u64 address;

struct iov_iter {
	u64 got[SAMPLE];
};

/* Copies the words of the slot that are looked at, each by one load. */
static size_t copy_to_iter(address from, size_t bytes, struct iov_iter *to)
{
	__CPROVER_assert(from == (address)shared.slot, "the slot");
	__CPROVER_assert(bytes == sizeof(shared.slot), "the slot");
	to->got[TICK] = READ_ONCE(shared.slot[TICK]);
	to->got[RECORD] = READ_ONCE(shared.slot[RECORD]);
	return bytes;
}

#define iov_iter_revert(to, bytes)

#include "taken.h"

static struct rtshm_region region;

static struct rtshm_ring ring = {
	.head = 1,
	.depth = 1,
	.stride = sizeof(shared.slot),
	.wake_at = U64_MAX,
	.wake_ns = U64_MAX,
	.slots = shared.slot,
};

static struct rtshm_reader reader = {
	.region = &region,
	.ring = &ring,
	.watermark = { .samples = 1 },
};

static void recording(void)
{
	struct rtshm_tick tick = { .number = 2, .time_ns = 2, .region = &region };

	scoped_guard(raw_spinlock, &region.lock)
		rtshm_ring_push(&ring, &tick, 2);
}

void check(void)
{
	struct iov_iter to = {};
	int count;

	shared.slot[TICK] = 1;
	shared.slot[RECORD] = 1;
	loads_early = true;
	smp_mb();
__CPROVER_ASYNC_1: recording();
	count = rtshm_reader_copy(&reader, &to, 1, false);
	always(count == 1);
	always(to.got[TICK] == reader.next);
	always(to.got[RECORD] == reader.next);
	reached(to.got[TICK] == 1);
	reached(to.got[TICK] == 2);
}
