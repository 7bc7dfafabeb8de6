// SPDX-License-Identifier: GPL-2.0-only
/*
 * The samples of a region, in memory of the kernel's own.
 *
 * One tick after the other puts its sample in the place of the oldest, under the
 * region's lock; a reader copies out from where it is, or from the oldest that is
 * kept. It holds the lock to look where that is, and again to see whether it is
 * still kept, not while it copies: no tick waits for a copy.
 */

#include <linux/limits.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "rtshm.h"

/* Process context, no lock held. A ring, or an ERR_PTR as of rtshm_memory_get(). */
struct rtshm_ring *rtshm_ring_new(u32 depth, u32 record_bytes)
{
	u32 stride = sizeof(struct rtshm_sample) + record_bytes;
	struct rtshm_ring *ring;
	void *slots;

	ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->depth = depth;
	ring->stride = stride;
	ring->head = RTSHM_TICKS_BEFORE;
	ring->wake_at = U64_MAX;
	ring->wake_ns = U64_MAX;
	INIT_LIST_HEAD(&ring->sleepers);
	slots = rtshm_memory_get(rtshm_ring_bytes(depth, record_bytes));
	if (IS_ERR(slots)) {
		kfree(ring);
		return ERR_CAST(slots);
	}
	ring->slots = slots;
	return ring;
}

/* Process context. NULL is no ring. */
void rtshm_ring_free(struct rtshm_ring *ring)
{
	if (!ring)
		return;
	rtshm_memory_put(ring->slots, (u64)ring->depth * ring->stride);
	kfree(ring);
}

static void *rtshm_ring_slot(struct rtshm_ring *ring, u32 index)
{
	return ring->slots + (size_t)index * ring->stride;
}

/*
 * The region's lock held. Wakes a reader once; it sleeps again after another
 * rtshm_sleeper_arm() only.
 */
static void rtshm_sleeper_wake(struct rtshm_sleeper *sleeper)
{
	rtshm_sleeper_arm(sleeper, U64_MAX, U64_MAX);
	wake_up_process(sleeper->task);
}

/*
 * Hard interrupt, the region's lock held. The record is the region's memory as
 * it is, but for the word, which is as the tick saw it before it took it.
 * Wakes the readers that sleep in read(2). Returns whether others are to be woken.
 */
bool rtshm_ring_push(struct rtshm_ring *ring, const struct rtshm_region *region,
		     u64 word, const struct rtshm_sample *sample)
{
	struct rtshm_sample *slot = rtshm_ring_slot(ring, ring->at);
	struct rtshm_sleeper *sleeper;
	u32 words = (ring->stride - sizeof(*slot)) / sizeof(u64);
	u64 *record = (u64 *)slot->record;
	u32 i;

	memcpy(slot, sample, sizeof(*slot));
	record[0] = word;
	for (i = 1; i < words; i++)
		record[i] = rtshm_load(rtshm_word(region) + i);

	ring->head++;
	if (++ring->at == ring->depth)
		ring->at = 0;

	list_for_each_entry(sleeper, &ring->sleepers, list)
		if (ring->head >= sleeper->wake_at ||
		    sample->time_ns >= sleeper->wake_ns)
			rtshm_sleeper_wake(sleeper);

	if (ring->head < ring->wake_at && sample->time_ns < ring->wake_ns)
		return false;
	ring->wake_at = U64_MAX;
	ring->wake_ns = U64_MAX;
	return true;
}

/*
 * The region's lock held. Has the ticks wake the sleeper, if they do not yet. False
 * if they wake RTSHM_SLEEPERS_MAX others: a tick takes constant time.
 */
bool rtshm_sleeper_add(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper)
{
	if (!list_empty(&sleeper->list))
		return true;
	if (ring->sleepers_count == RTSHM_SLEEPERS_MAX)
		return false;
	list_add_tail(&sleeper->list, &ring->sleepers);
	ring->sleepers_count++;
	return true;
}

/* The region's lock held. */
void rtshm_sleeper_remove(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper)
{
	if (list_empty(&sleeper->list))
		return;
	list_del_init(&sleeper->list);
	ring->sleepers_count--;
}

/* The region's lock held. Wakes all readers that sleep: no tick will. */
void rtshm_sleepers_wake(struct rtshm_ring *ring)
{
	struct rtshm_sleeper *sleeper;

	list_for_each_entry(sleeper, &ring->sleepers, list)
		rtshm_sleeper_wake(sleeper);
}

/* The region's lock held. The first sample from @next on that is still kept. */
u64 rtshm_ring_first(const struct rtshm_ring *ring, u64 next)
{
	u64 kept = min_t(u64, ring->head - RTSHM_TICKS_BEFORE, ring->depth);

	return max(next, ring->head - kept);
}

/*
 * The region's lock held. Where the sample @first is, which is kept, and how many
 * lie there one behind the other: up to the last, or to the end of the memory.
 */
u32 rtshm_ring_run(struct rtshm_ring *ring, u64 first, const void **samples)
{
	u32 behind = ring->head - first;
	/* @at is where the sample numbered @head will be. */
	u32 begin = ring->at >= behind ? ring->at - behind :
					 ring->at + ring->depth - behind;

	*samples = rtshm_ring_slot(ring, begin);
	return min(behind, ring->depth - begin);
}
