/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What crosses the files of the module: the region and the few functions that
 * work on it. Who may call whom, from the ground up; a call never goes down this
 * list:
 *
 *     tick.c       the timer, the word it takes, the irq_work that prints
 *     region.c     memory, device, lifetime
 *     state_dev.c  /dev/rtshm/<name>
 *     main.c       module parameters, order of bring-up and tear-down
 */
#ifndef RTSHM_H
#define RTSHM_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/ratelimit.h>
#include <linux/rtshm.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "compat.h"

/*
 * Memory that user space may change at any instant. Sparse refuses every
 * dereference of such a pointer. Who casts it away does so to load or store
 * each word once (the accessors below, the copies of region.c), to allocate,
 * to free, or to find a page.
 */
#ifdef __CHECKER__
#define __shm __attribute__((noderef, address_space(__shm)))
#else
#define __shm
#endif

/* What goes on in a region between a tick, a poller and the irq_work. */
enum rtshm_pending {
	RTSHM_POLL_ARMED,	/* a poller saw an announcement and waits */
	RTSHM_WAKE,		/* the irq_work is to wake the pollers */
	RTSHM_PRINT,		/* the irq_work is to print printed_value */
};

struct rtshm_region {
	/*
	 * Lifetime: the reference count of dev, held by whoever made the region
	 * and, through cdev, by every open file; a mapping holds its file.
	 */
	struct device		dev;
	struct cdev		cdev;

	/* Constant from rtshm_region_new() to the last put. */
	void __shm		*mem;
	size_t			size;

	/* Settings: single words, stored by process context, loaded by a tick. */
	u64			period_ns;
	bool			print;

	/*
	 * Held by a tick for its look at mem and by read(2) and write(2) for
	 * each copy. Raw: a tick is a hard interrupt on PREEMPT_RT too.
	 */
	raw_spinlock_t		lock;

	/* The tick's own until rtshm_tick_stop() has returned. */
	struct hrtimer		timer;
	u64			ticks;
	u64			missed;

	/* Handed over by atomic bits and single words. */
	unsigned long		pending;	/* enum rtshm_pending */
	s32			printed_value;
	struct irq_work		report;
	struct ratelimit_state	print_limit;
	atomic_t		withheld;	/* lines not printed and not told of */

	wait_queue_head_t	taken;
};

static inline u64 __shm *rtshm_word(const struct rtshm_region *region)
{
	return region->mem;
}

/* A word of region memory, read once. */
static inline u64 rtshm_load(const u64 __shm *word)
{
	return READ_ONCE(*(const u64 __force *)word);
}

static inline bool rtshm_cmpxchg(u64 __shm *word, u64 old, u64 new)
{
	return cmpxchg((u64 __force *)word, old, new) == old;
}

/* tick.c */
void rtshm_tick_init(struct rtshm_region *region);
void rtshm_tick_start(struct rtshm_region *region);
void rtshm_tick_stop(struct rtshm_region *region);
void rtshm_tick_set_print(struct rtshm_region *region, bool on);
bool rtshm_announced(const struct rtshm_region *region);

/* region.c */
int rtshm_regions_init(void);
void rtshm_regions_exit(void);
struct rtshm_region *rtshm_region_new(const char *name, size_t size,
				      u64 period_ns, bool print,
				      const struct file_operations *state_fops);
void rtshm_region_shut(struct rtshm_region *region);
void rtshm_region_put(struct rtshm_region *region);
void rtshm_region_copy_in(struct rtshm_region *region, size_t pos,
			  const void *from, size_t len);
void rtshm_region_copy_out(struct rtshm_region *region, size_t pos,
			   void *to, size_t len);

/* state_dev.c */
extern const struct file_operations rtshm_state_fops;

#endif /* RTSHM_H */
