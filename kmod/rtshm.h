/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The region, and the functions that cross the files of the module. The files from
 * the ground up: limits, may, memory, phys, copy, task, thread, ring, tick, timer,
 * region, state_dev and samples, registry, netlink_message, netlink, bpf, main. A
 * call never goes down this list, but for rtshm_clock_now(), rtshm_netlink_notify(), and
 * what task.c exports to other modules.
 */
#ifndef RTSHM_H
#define RTSHM_H

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pm_qos.h>
#include <linux/ratelimit.h>
#include <linux/rtshm.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "compat.h"
#include "config.h"
#include "rtshm_task.h"

struct rtshm_counters {
	u64			ticks;
	u64			missed;
	u64			published;
	u64			lateness_min_ns;
	u64			lateness_max_ns;
	u64			lateness_sum_ns;
	u64			lateness_histogram[RTSHM_LATENESS_BINS];
};

/* Bits that a tick, a poller and the thread of a region pass to one another. */
enum rtshm_pending {
	RTSHM_POLL_ARMED,	/* a poller saw an announcement and waits */
	RTSHM_REPORT,		/* the thread has something to do */
	RTSHM_WAKE,		/* the thread is to wake pollers of the state */
	RTSHM_WAKE_READERS,	/* the thread is to wake pollers of the samples */
	RTSHM_TELL_STOPPED,	/* the thread is to print that a task was stopped */
	RTSHM_COMPARED,		/* compared_value is of this mode of printing */
};

struct rtshm_region {
	/* References: the list of regions, nodes (an open file holds its node), claims. */
	struct kref		kref;
	struct rcu_head		rcu;		/* see rtshm_task_kick() */

	/* Constant while the region is live, but for config.set: see lock. */
	struct rtshm_config	config;
	u32			id;
	bool			periodic;	/* it has a timer, and is not kicked */
	void __shm		*mem;
	struct rtshm_phys	*phys;		/* raw memory behind mem, or NULL */
	struct rtshm_member	*member;	/* who made it without privilege, or NULL */
	struct task_struct	*thread;
	struct rtshm_node	*state;

	/* Held while the region is made, changed or removed; outside rtshm_regions_lock. */
	struct mutex		change;
	struct rtshm_node	*samples;	/* or NULL; under change */

	/* Under rtshm_regions_lock; live is stored under change, too. */
	struct list_head	list;
	bool			live;

	bool			dead;		/* set once, before pollers are woken */
	atomic_t		users;		/* open files of the state */

	/*
	 * Held by a tick for all that it does with the region, and by others for
	 * copies of bounded length. Raw: a tick is a hard interrupt on PREEMPT_RT.
	 */
	raw_spinlock_t		lock;

	/* Odd while mem is changed under the lock: rtshm_copy_out(). */
	seqcount_raw_spinlock_t	sequence;

	/*
	 * Under lock. config.set is stored under change, too, and what the timer goes
	 * by only while the timer is stopped.
	 */
	u64			number;		/* of the last tick */
	struct rtshm_counters	counters;
	u64			missed_past;	/* counted before the last reset */
	u32			missed_before;	/* the next tick */
	s32			compared_value;	/* of the last line that was due */
	s64			shift_ns;	/* of the ticks to come: rtshm_tick_shift() */
	struct rtshm_ring	*ring;		/* or NULL */
	struct list_head	tasks;		/* stored under rtshm_regions_lock, too */

	/* Of the timer's tick until rtshm_timer_end() has returned. */
	struct hrtimer		timer;
	s64			ahead_ns;	/* its clock, of CLOCK_MONOTONIC */

	/* Of timer.c. */
	int			cpu;		/* that the timer is on */
	struct dev_pm_qos_request latency;	/* of its idle states */
	struct hlist_node	cpuhp;		/* a cpu comes or goes */

	/* Atomic bits and single words between the tick and the thread. */
	unsigned long		pending;	/* enum rtshm_pending */
	atomic64_t		line;		/* the line that is due: thread.c */
	atomic_t		withheld;	/* lines that were not printed */
	struct ratelimit_state	print_limit;

	wait_queue_head_t	state_queue;	/* pollers of the state */
	wait_queue_head_t	samples_queue;	/* pollers of the samples */
};

static inline const char *rtshm_name(const struct rtshm_region *region)
{
	return region->config.name;
}

static inline u64 __shm *rtshm_word(const struct rtshm_region *region)
{
	return region->mem;
}

/* A word of region memory, read once. */
static inline u64 rtshm_load(const u64 __shm *word)
{
	return READ_ONCE(*(const u64 __force *)word);
}

/* memory.c */
extern atomic64_t rtshm_bytes;

void *rtshm_memory_get(struct rtshm_member *member, u64 bytes, int node,
		       const char *attribute, struct netlink_ext_ack *extack);
void rtshm_memory_put(struct rtshm_member *member, void *memory, u64 bytes);

/* phys.c, with CONFIG_HAS_IOMEM */
int rtshm_phys_get(struct rtshm_region *region, struct netlink_ext_ack *extack);
void rtshm_phys_put(struct rtshm_phys *phys);

/* copy.c */
void rtshm_copy_in(struct rtshm_region *region, size_t pos, const void *from, size_t len);
void rtshm_copy_out(struct rtshm_region *region, size_t pos, void *to, size_t len);

/* task.c */
ktime_t rtshm_tasks_run(struct rtshm_region *region, const struct rtshm_tick *tick);
void rtshm_tasks_print_stopped(struct rtshm_region *region);
void rtshm_tasks_end(struct rtshm_region *region);
void rtshm_task_begin(struct rtshm_task *task);

/* thread.c */
void rtshm_wake_all(struct wait_queue_head *queue, __poll_t events);
void rtshm_thread_wake(struct rtshm_region *region);
int rtshm_thread_start(struct rtshm_region *region);
void rtshm_thread_stop(struct rtshm_region *region);
bool rtshm_line_set(struct rtshm_region *region, u32 print, s32 value);
void rtshm_line_print_withheld(struct rtshm_region *region);

/* region.c */
int rtshm_devices_init(void);
void rtshm_devices_exit(void);
struct rtshm_region *rtshm_region_new(const struct rtshm_config *config);
int rtshm_region_build(struct rtshm_region *region, struct netlink_ext_ack *extack);
int rtshm_region_record(struct rtshm_region *region, const struct rtshm_settings *set,
			struct netlink_ext_ack *extack);
long rtshm_region_info(struct rtshm_region *region, u32 sample_bytes, void __user *to);
struct rtshm_region *rtshm_region_of(const struct inode *inode);
void rtshm_region_announce(struct rtshm_region *region, bool changed);
void rtshm_region_stop(struct rtshm_region *region);
void rtshm_region_put(struct rtshm_region *region);

/* state_dev.c, samples.c */
extern const struct file_operations rtshm_state_fops, rtshm_samples_fops;

/* registry.c */
extern struct mutex rtshm_regions_lock;
extern struct list_head rtshm_regions;
extern u32 rtshm_generation;
extern u64 rtshm_removed_ticks, rtshm_removed_missed;

struct rtshm_region *rtshm_region_find(const char *name);
struct rtshm_region *rtshm_region_claim(const char *name);
void rtshm_region_unclaim(struct rtshm_region *region);
struct rtshm_region *rtshm_region_make(const struct rtshm_config *config,
				       struct netlink_ext_ack *extack);
int rtshm_region_change(struct rtshm_region *region, const struct rtshm_settings *set,
			bool reset, struct netlink_ext_ack *extack);
void rtshm_region_remove(struct rtshm_region *region);
void rtshm_regions_exit(void);

/* netlink.c */
int rtshm_netlink_init(void);
void rtshm_netlink_exit(void);
void rtshm_netlink_open(void);
void rtshm_netlink_notify(struct rtshm_region *region, u8 cmd);

#endif /* RTSHM_H */
