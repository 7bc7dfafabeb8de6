// SPDX-License-Identifier: GPL-2.0-only
/*
 * The samples of a region, in memory of the kernel's own.
 *
 * One tick after the other replaces the oldest sample by its own, under the
 * region's lock. The region and each reader hold a reference to the ring.
 */

#include <linux/limits.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "ring.h"
#include "rtshm.h"
#include "tick.h"

/* Process context, no lock held. A ring, NULL for a history of 0 samples, or an ERR_PTR. */
struct rtshm_ring *rtshm_ring_new(const struct rtshm_settings *set,
				  struct rtshm_member *member, struct netlink_ext_ack *extack)
{
	int node = cpu_to_node(set->timer_cpu);
	struct rtshm_ring *ring;
	void *slots;

	if (!set->history)
		return NULL;
	ring = kzalloc_node(sizeof(*ring), GFP_KERNEL_ACCOUNT, node);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	kref_init(&ring->kref);
	ring->depth = set->history;
	ring->stride = sizeof(struct rtshm_sample) + set->record_bytes;
	ring->head = RTSHM_TICKS_BEFORE;
	ring->wake_at = U64_MAX;
	ring->wake_ns = U64_MAX;
	INIT_LIST_HEAD(&ring->sleepers);
	slots = rtshm_memory_get(member, (u64)ring->depth * ring->stride, node,
				 "history", extack);
	if (IS_ERR(slots)) {
		kfree(ring);
		return ERR_CAST(slots);
	}
	ring->member = member;
	ring->slots = slots;
	return ring;
}

static void rtshm_ring_release(struct kref *kref)
{
	struct rtshm_ring *ring = container_of(kref, typeof(*ring), kref);

	rtshm_memory_put(ring->member, ring->slots, (u64)ring->depth * ring->stride);
	kfree(ring);
}

void rtshm_ring_put(struct rtshm_ring *ring)
{
	kref_put(&ring->kref, rtshm_ring_release);
}

static void *rtshm_ring_slot(struct rtshm_ring *ring, u32 index)
{
	return ring->slots + (size_t)index * ring->stride;
}

/* The region's lock held. Wakes a reader once, until it arms its sleeper again. */
static void rtshm_sleeper_wake(struct rtshm_sleeper *sleeper)
{
	sleeper->wake_at = U64_MAX;
	sleeper->wake_ns = U64_MAX;
	wake_up_process(sleeper->task);
}

/*
 * Hard interrupt, the region's lock held. Stores the sample of a tick, whose record is
 * the region's memory but for the word, which is as the tick saw it before it took it.
 * Wakes the readers that sleep in read(2); true if the thread is to wake pollers.
 */
bool rtshm_ring_push(struct rtshm_ring *ring, const struct rtshm_tick *tick, u64 word)
{
	const u64 __shm *from = rtshm_word(tick->region);
	struct rtshm_sample *slot = rtshm_ring_slot(ring, ring->at);
	u64 *record = (u64 *)slot->record;
	u64 *end = (void *)slot + ring->stride;
	struct rtshm_sleeper *sleeper;

	slot->tick = tick->number;
	slot->time_ns = tick->time_ns;
	slot->lateness_ns = tick->lateness_ns;
	slot->flags = tick->announced ? RTSHM_SAMPLE_ANNOUNCED : 0;
	slot->missed = tick->missed;
	*record = word;
	while (++record < end)
		*record = rtshm_load(++from);

	ring->head++;
	if (++ring->at == ring->depth)
		ring->at = 0;

	list_for_each_entry(sleeper, &ring->sleepers, list)
		if (ring->head >= sleeper->wake_at ||
		    tick->time_ns >= sleeper->wake_ns)
			rtshm_sleeper_wake(sleeper);

	if (ring->head < ring->wake_at && tick->time_ns < ring->wake_ns)
		return false;
	ring->wake_at = U64_MAX;
	ring->wake_ns = U64_MAX;
	return true;
}

/* The region's lock held. The first sample from @next on that is still kept. */
u64 rtshm_ring_first(const struct rtshm_ring *ring, u64 next)
{
	u64 kept = min_t(u64, ring->head - RTSHM_TICKS_BEFORE, ring->depth);

	return max(next, ring->head - kept);
}

/*
 * The region's lock held. Where the sample @first is, which is kept, and how many
 * follow one another there: up to the last, or to the end of the memory.
 */
u32 rtshm_ring_run(struct rtshm_ring *ring, u64 first, const void **samples)
{
	u32 behind = ring->head - first;
	/* The sample numbered @head will be at @at. */
	u32 begin = ring->at >= behind ? ring->at - behind :
					 ring->at + ring->depth - behind;

	*samples = rtshm_ring_slot(ring, begin);
	return min(behind, ring->depth - begin);
}

/*
 * Process context, no lock held. From the next tick on the samples go to another
 * ring, or nowhere, and who reads the old one is woken: it ends.
 */
void rtshm_ring_replace(struct rtshm_region *region, struct rtshm_ring *ring)
{
	struct rtshm_sleeper *sleeper;

	scoped_guard(raw_spinlock_irq, &region->lock) {
		swap(region->ring, ring);
		if (ring) {
			WRITE_ONCE(ring->dead, true);	/* who polls or reads */
			list_for_each_entry(sleeper, &ring->sleepers, list)
				rtshm_sleeper_wake(sleeper);
		}
	}
	if (!ring)
		return;
	rtshm_wake_all(&region->samples_queue, EPOLLHUP | EPOLLIN | EPOLLRDNORM);
	rtshm_ring_put(ring);
}
