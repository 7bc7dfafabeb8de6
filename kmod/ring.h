/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring of samples, for those who make, fill and read it.
 */
#ifndef RTSHM_RING_H
#define RTSHM_RING_H

#include "rtshm.h"

/* A reader that sleeps in read(2). Under the region's lock, but for the task. */
struct rtshm_sleeper {
	struct list_head	list;
	struct task_struct	*task;
	u64			wake_at;	/* head at which the tick wakes it */
	u64			wake_ns;	/* or CLOCK_MONOTONIC */
};

/* Under the region's lock, but for what is constant: from depth on. */
struct rtshm_ring {
	struct kref		kref;
	bool			dead;		/* no tick fills it any more */
	u64			head;		/* samples so far */
	u64			wake_at;	/* head at which pollers are woken */
	u64			wake_ns;	/* or CLOCK_MONOTONIC */
	struct list_head	sleepers;
	u32			sleepers_count;
	u32			at;		/* slot of the next sample */
	u32			depth;
	u32			stride;		/* bytes of a sample */
	void			*slots;
	struct rtshm_member	*member;	/* that the slots count for, or NULL */
};

struct rtshm_ring *rtshm_ring_new(const struct rtshm_settings *set,
				  struct rtshm_member *member, struct netlink_ext_ack *extack);
void rtshm_ring_replace(struct rtshm_region *region, struct rtshm_ring *ring);
bool rtshm_ring_push(struct rtshm_ring *ring, const struct rtshm_tick *tick, u64 word);
void rtshm_ring_put(struct rtshm_ring *ring);
u64 rtshm_ring_first(const struct rtshm_ring *ring, u64 next);
u32 rtshm_ring_run(struct rtshm_ring *ring, u64 first, const void **samples);

#endif /* RTSHM_RING_H */
