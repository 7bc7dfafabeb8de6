/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What crosses the files of the module: the region and the few functions that
 * work on it. Who may call whom, from the ground up; a call never goes down this
 * list:
 *
 *     memory.c     memory of regions and samples, counted
 *     phys.c       raw memory of regions, at an address
 *     copy.c       consistent copies in and out of a region
 *     ring.c       samples: push, copy out
 *     print.c      lines in the log
 *     task.c       the tasks of regions, which a tick runs
 *     wake.c       the thread of a region: wakes who polls, prints
 *     tick.c       the timer, the word it takes, what it counts
 *     region.c     memory, device, lifetime
 *     history.c    the ring of a region and its device
 *     limits.c     what a region may be, and what a refusal says
 *     registry.c   all regions: finding, making, changing, removing
 *     state_dev.c  /dev/rtshm/<name>     sample_dev.c  /dev/rtshm/<name>.samples
 *     netlink.c    the control plane
 *     main.c       module parameters, order of bring-up and tear-down
 */
#ifndef RTSHM_H
#define RTSHM_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rtshm.h>
#include <linux/rtshm_netlink.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "compat.h"
#include "rtshm_task.h"

/* Device numbers: nodes, those included that are gone and still open. */
#define RTSHM_MINORS	8192

/* Most regions: with a history, each has two nodes. */
#define RTSHM_REGIONS_MAX	4096

/* Ticks, and samples, before the first: tests/boots/test_month.py has another. */
#ifndef RTSHM_TICKS_BEFORE
#define RTSHM_TICKS_BEFORE	0ULL
#endif

/* Most tasks of a region: what netlink tells of them has room in one message. */
#define RTSHM_TASKS_MAX		8

/* What all regions may wait in a second, each before its ticks. */
#define RTSHM_LEADS_MAX_NS	(NSEC_PER_SEC / 4)

/* rtshm_config.cpu and rtshm_region.cpu: no cpu in particular. */
#define RTSHM_CPU_ANY	(-1)

/* Module parameters; constant once the module is loaded. */
struct rtshm_limits {
	u64			period_min_ns;
	u64			rate_max_hz;
	u64			bytes_max;
	u64			regions_max;
	u64			depth_max;
};

/* What a refusal says. */
enum rtshm_text {
	RTSHM_TEXT_NAME,
	RTSHM_TEXT_EXISTS,
	RTSHM_TEXT_REGIONS,
	RTSHM_TEXT_MINORS,
	RTSHM_TEXT_SIZE,
	RTSHM_TEXT_BYTES,
	RTSHM_TEXT_MEMORY,
	RTSHM_TEXT_PERIOD,
	RTSHM_TEXT_RATE,
	RTSHM_TEXT_PRINT,
	RTSHM_TEXT_DEPTH,
	RTSHM_TEXT_RING_BYTES,
	RTSHM_TEXT_RING_MEMORY,
	RTSHM_TEXT_READERS,
	RTSHM_TEXT_RECORD,
	RTSHM_TEXT_LAYOUT,
	RTSHM_TEXT_CPU,
	RTSHM_TEXT_CLOCK,
	RTSHM_TEXT_PHASE,
	RTSHM_TEXT_PHASE_PERIOD,
	RTSHM_TEXT_START,
	RTSHM_TEXT_START_TIME,
	RTSHM_TEXT_LEAD,
	RTSHM_TEXT_LEADS,
	RTSHM_TEXT_LEAD_CLOCK,
	RTSHM_TEXT_BUDGET,
	RTSHM_TEXT_PHYS,
	RTSHM_TEXT_PHYS_RAM,
	RTSHM_TEXT_PHYS_RESERVED,
	RTSHM_TEXT_PHYS_REGION,
	RTSHM_TEXT_PHYS_BUSY,
	RTSHM_TEXT_PHYS_CACHE,
	RTSHM_TEXT_PHYS_ENCRYPTED,
	RTSHM_TEXT_KEEP,
	RTSHM_TEXTS
};

/* What a region is asked to be. */
struct rtshm_config {
	const char		*name;
	const char		*layout;
	u64			size;
	u64			period_ns;
	u64			phase_ns;	/* RTSHM_NONE: now is the first tick */
	u64			start_ns;	/* RTSHM_NONE: as soon as may be */
	u64			lead_ns;
	u64			phys;		/* RTSHM_NONE: memory of the kernel's */
	u64			task_budget_ns;
	u32			task_long_max;
	u32			record_depth;
	u32			record_bytes;
	umode_t			mode;
	kuid_t			uid;
	kgid_t			gid;
	bool			access_given;	/* mode, uid or gid */
	int			cpu;
	u8			clock;		/* enum rtshm_clock */
	u8			print;		/* enum rtshm_print_mode */
	bool			keep;
	bool			at_load;	/* the region that insmod makes */
};

/* rtshm_config.phase_ns, start_ns and phys: not given. */
#define RTSHM_NONE	U64_MAX

struct rtshm_counters {
	u64			ticks;
	u64			missed;
	u64			published;
	u64			lateness_min_ns;
	u64			lateness_max_ns;
	u64			lateness_sum_ns;
	u64			lateness_histogram[RTSHM_LATENESS_BINS];
};

struct rtshm_task_counters {
	u64			ticks;
	u64			time_max_ns;
	u64			overruns;
	bool			stopped;
};

/* What goes on in a region between a tick, a poller and the thread. */
enum rtshm_pending {
	RTSHM_POLL_ARMED,	/* a poller saw an announcement and waits */
	RTSHM_REPORT,		/* the thread has something to do */
	RTSHM_WAKE,		/* the thread is to wake the pollers */
	RTSHM_WAKE_READERS,	/* the thread is to wake readers of samples */
	RTSHM_TELL_STOPPED,	/* the thread is to tell of a stopped task */
	RTSHM_COMPARED,		/* compared_value is of this mode of printing */
};

/* Most readers of a region that its tick wakes itself. */
#define RTSHM_SLEEPERS_MAX	8

/* A reader that sleeps in read(2). Under the region's lock, but for the task. */
struct rtshm_sleeper {
	struct list_head	list;
	struct task_struct	*task;
	u64			wake_at;	/* head at which it is woken */
	u64			wake_ns;	/* or CLOCK_MONOTONIC */
};

static inline void rtshm_sleeper_arm(struct rtshm_sleeper *sleeper, u64 wake_at,
				     u64 wake_ns)
{
	sleeper->wake_at = wake_at;
	sleeper->wake_ns = wake_ns;
}

/* Under the region's lock, but for what is constant: depth, stride, slots. */
struct rtshm_ring {
	u64			head;		/* samples so far */
	u64			wake_at;	/* head at which the thread wakes readers */
	u64			wake_ns;	/* or CLOCK_MONOTONIC */
	struct list_head	sleepers;	/* readers that the tick wakes */
	u32			sleepers_count;
	u32			at;		/* slot of the next sample */
	u32			depth;
	u32			stride;		/* bytes of a sample */
	void			*slots;
};

/* Constant, but for the list. */
struct rtshm_phys {
	struct list_head	list;
	struct resource		*resource;
	void			*mem;
	u64			start;
	u64			size;
	bool			keep;
	char			label[sizeof("rtshm ") + RTSHM_NAME_MAX];
};

struct rtshm_region;

struct rtshm_history {
	struct device		dev;
	struct cdev		cdev;

	/* Constant to the last put; a reference to the region is held. */
	struct rtshm_region	*region;

	/*
	 * Stored under rtshm_regions_lock and the region's lock while there are
	 * no readers; so either is enough to look, and a reader needs none.
	 */
	struct rtshm_ring	*ring;

	/* Under the region's lock; dead is looked at without. */
	unsigned int		readers;	/* open files */
	bool			dead;
};

struct rtshm_region {
	/*
	 * Lifetime: the reference count of dev, held by the list of regions
	 * and, through cdev, by every open file; a mapping holds its file.
	 */
	struct device		dev;
	struct cdev		cdev;

	/* Constant from when the region is live to the last put. */
	void __shm		*mem;
	size_t			size;
	struct rtshm_phys	*phys;		/* where mem is, or NULL */
	char			*layout;
	u32			id;
	int			cpu;
	u8			clock;		/* enum rtshm_clock */
	u64			phase_ns;
	u64			start_ns;
	u64			lead_ns;	/* the timer expires before the tick is due */
	umode_t			mode;
	kuid_t			uid;
	kgid_t			gid;
	bool			access_default;	/* nobody said who may use it */

	/* Under rtshm_regions_lock. */
	struct list_head	list;
	bool			visible;	/* netlink describes it */
	bool			live;		/* made, and not yet being removed */
	u32			record_depth;
	u32			record_bytes;
	unsigned int		tasks_count;

	/* Stored under rtshm_regions_lock, single words, loaded by a tick. */
	u64			period_ns;
	u64			task_budget_ns;
	u32			task_long_max;
	u8			print;

	/* Set once, by rtshm_region_shut(); who opens or polls looks at it. */
	bool			dead;
	atomic_t		users;		/* open files */

	/*
	 * Held by a tick for its look at mem, its counting and its tasks, by
	 * write(2) for each copy, and by netlink for a copy of the counters. Raw:
	 * a tick is a hard interrupt on PREEMPT_RT too.
	 */
	raw_spinlock_t		lock;

	/* Odd while mem is changed under the lock: rtshm_copy_out(). */
	seqcount_raw_spinlock_t	sequence;
	struct rtshm_counters	counters;
	u32			missed_before;	/* the next tick */

	/*
	 * Stored under lock, and while the region is live under rtshm_regions_lock
	 * too, so either is enough to look then.
	 */
	struct rtshm_history	*history;	/* or NULL */
	struct list_head	tasks;

	/* The tick's own until rtshm_tick_stop() has returned. */
	struct hrtimer		timer;
	struct hlist_node	cpuhp;		/* its own cpu returns */
	s64			ahead_ns;	/* its clock, of CLOCK_MONOTONIC */
	s32			compared_value;	/* of the last line that was due */

	/* Handed over by atomic bits and single words. */
	unsigned long		pending;	/* enum rtshm_pending */
	atomic64_t		line;		/* RTSHM_LINE and a value, or 0 */
	struct task_struct	*thread;	/* constant */
	struct ratelimit_state	print_limit;
	atomic_t		withheld;	/* lines not printed and not told of */

	wait_queue_head_t	taken;
	wait_queue_head_t	recorded;
};

static inline const char *rtshm_name(const struct rtshm_region *region)
{
	return dev_name(&region->dev);
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

static inline bool rtshm_cmpxchg(u64 __shm *word, u64 old, u64 new)
{
	return cmpxchg((u64 __force *)word, old, new) == old;
}

/* memory.c */
extern atomic64_t rtshm_bytes;

void *rtshm_memory_get(u64 bytes);
void rtshm_memory_put(void *memory, u64 bytes);

/* phys.c */
#ifdef CONFIG_HAS_IOMEM
struct rtshm_phys *rtshm_phys_get(const char *name, u64 start, u64 size, bool keep,
				  enum rtshm_text *why);
void rtshm_phys_begin(struct rtshm_phys *phys);
void rtshm_phys_put(struct rtshm_phys *phys);
#else
/* User-mode Linux has no physical addresses. */
static inline struct rtshm_phys *rtshm_phys_get(const char *name, u64 start, u64 size,
						bool keep, enum rtshm_text *why)
{
	*why = RTSHM_TEXT_PHYS_RESERVED;
	return ERR_PTR(-ENXIO);
}

static inline void rtshm_phys_begin(struct rtshm_phys *phys) { }
static inline void rtshm_phys_put(struct rtshm_phys *phys) { }
#endif

/* copy.c */
void rtshm_copy_in(struct rtshm_region *region, size_t pos, const void *from,
		   size_t len);
void rtshm_copy_out(struct rtshm_region *region, size_t pos, void *to,
		    size_t len);
void rtshm_copy_in_locked(struct rtshm_region *region, size_t pos,
			  const void *from, size_t len);
void rtshm_copy_out_once(const struct rtshm_region *region, size_t pos, void *to,
			 size_t len);

/* ring.c */
static inline u64 rtshm_ring_bytes(u32 depth, u32 record_bytes)
{
	return (u64)depth * (sizeof(struct rtshm_sample) + record_bytes);
}

struct rtshm_ring *rtshm_ring_new(u32 depth, u32 record_bytes);
void rtshm_ring_free(struct rtshm_ring *ring);
bool rtshm_ring_push(struct rtshm_ring *ring, const struct rtshm_region *region,
		     u64 word, const struct rtshm_sample *sample);
bool rtshm_sleeper_add(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper);
void rtshm_sleeper_remove(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper);
void rtshm_sleepers_wake(struct rtshm_ring *ring);
u64 rtshm_ring_first(const struct rtshm_ring *ring, u64 next);
u32 rtshm_ring_run(struct rtshm_ring *ring, u64 first, const void **samples);

/* print.c */
void rtshm_print_init(struct rtshm_region *region);
bool rtshm_print_due(struct rtshm_region *region, s32 value);
void rtshm_print(struct rtshm_region *region);
void rtshm_print_withhold(struct rtshm_region *region);
void rtshm_print_tell_withheld(struct rtshm_region *region);
void rtshm_print_set_mode(struct rtshm_region *region, u8 mode);

/* task.c */
ktime_t rtshm_tasks_run(struct rtshm_region *region, const struct rtshm_tick *tick);
void rtshm_tasks_tell_stopped(struct rtshm_region *region);
void rtshm_task_counters(struct rtshm_region *region,
			 const struct rtshm_task *task,
			 struct rtshm_task_counters *counters);
void rtshm_tasks_gone(struct rtshm_region *region);
int rtshm_tasks_init(void);
void rtshm_tasks_exit(void);

/* wake.c */
void rtshm_wake_all(struct wait_queue_head *queue, __poll_t events);
void rtshm_thread_wake(struct rtshm_region *region);
int rtshm_thread_start(struct rtshm_region *region);
void rtshm_thread_stop(struct rtshm_region *region);

/* tick.c */
int rtshm_ticks_init(void);
void rtshm_ticks_exit(void);
void rtshm_tick_init(struct rtshm_region *region);
int rtshm_tick_start(struct rtshm_region *region);
void rtshm_tick_hurry(struct rtshm_region *region);
void rtshm_tick_stop(struct rtshm_region *region);
void rtshm_tick_counters(struct rtshm_region *region,
			 struct rtshm_counters *counters);
ktime_t rtshm_clock_now(u8 clock);
bool rtshm_announced(const struct rtshm_region *region);

/* region.c */
int rtshm_devices_init(void);
void rtshm_devices_exit(void);
struct rtshm_region *rtshm_region_new(const struct rtshm_config *config);
int rtshm_region_show(struct rtshm_region *region,
		      const struct file_operations *state_fops);
void rtshm_region_shut(struct rtshm_region *region);
void rtshm_region_put(struct rtshm_region *region);
long rtshm_region_info(const struct rtshm_region *region, void __user *to);
char *rtshm_node_name(const struct device *dev);
int rtshm_access_uevent(const struct rtshm_region *region,
			struct kobj_uevent_env *env);
int rtshm_minor_get(struct device *dev);
void rtshm_minor_free(struct device *dev);

/* history.c */
int rtshm_history_new(struct rtshm_region *region, struct rtshm_ring *ring,
		      const struct file_operations *fops);
int rtshm_history_renew(struct rtshm_history *history, struct rtshm_ring **ring);
void rtshm_history_shut(struct rtshm_history *history);

/* limits.c */
struct netlink_ext_ack;

extern struct rtshm_limits rtshm_limits;

void rtshm_limits_init(void);
void rtshm_refuse(struct netlink_ext_ack *extack, enum rtshm_text text);
bool rtshm_name_ok(const char *name);
int rtshm_config_check(const struct rtshm_config *config,
		       struct netlink_ext_ack *extack);
int rtshm_settings_check(const struct rtshm_config *config, u64 size,
			 struct netlink_ext_ack *extack);
void rtshm_config_init(struct rtshm_config *config, const char *name);
void rtshm_settings_of(struct rtshm_config *config,
		       const struct rtshm_region *region);

/* registry.c */
extern struct mutex rtshm_regions_lock;
extern struct list_head rtshm_regions;
extern u32 rtshm_generation;

struct rtshm_region *rtshm_region_look(const char *name);
struct rtshm_region *rtshm_region_find(const char *name);
struct rtshm_region *rtshm_region_make(const struct rtshm_config *config,
				       struct netlink_ext_ack *extack);
void rtshm_region_insert(struct rtshm_region *region);
struct rtshm_ring *rtshm_ring_get(const struct rtshm_config *config,
				  struct netlink_ext_ack *extack);
int rtshm_region_change(struct rtshm_region *region,
			const struct rtshm_config *config,
			struct rtshm_ring **ring,
			struct netlink_ext_ack *extack);
void rtshm_region_withdraw(struct rtshm_region *region);
void rtshm_region_stop(struct rtshm_region *region);
void rtshm_region_remove(struct rtshm_region *region);
int rtshm_regions_init(const struct file_operations *state_fops,
		       const struct file_operations *sample_fops);
void rtshm_regions_exit(u64 *ticks, u64 *missed);

void rtshm_regions_changed(void);

/* state_dev.c */
extern const struct file_operations rtshm_state_fops;

/* sample_dev.c */
extern const struct file_operations rtshm_sample_fops;

/* netlink.c */
int rtshm_netlink_init(void);
void rtshm_netlink_exit(void);
void rtshm_netlink_open(void);
void rtshm_netlink_changed(struct rtshm_region *region);

#endif /* RTSHM_H */
