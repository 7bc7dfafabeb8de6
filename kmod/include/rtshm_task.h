/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Your own code in the tick of a region: for other kernel modules.
 *
 *     struct doubler {
 *             __s32 in, out;
 *     };
 *
 *     static void doubler_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
 *     {
 *             struct doubler __shm *doubler = tick->record;
 *
 *             rtshm_write_s32(&doubler->out, 2 * rtshm_read_s32(&doubler->in));
 *     }
 *
 *     static struct rtshm_task doubler_task = {
 *             .name = "doubler",
 *             .layout_bytes = sizeof(struct doubler),
 *             .tick = doubler_tick,
 *     };
 *
 * The module's init returns rtshm_task_add("default", &doubler_task), its exit
 * calls rtshm_task_remove(&doubler_task).
 */
#ifndef RTSHM_TASK_H
#define RTSHM_TASK_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/types.h>

/*
 * Memory that user space may change at any instant. Sparse refuses every
 * dereference of such a pointer: use the functions below, which load or store
 * once.
 */
#ifdef __CHECKER__
#define __shm __attribute__((noderef, address_space(__shm)))
#else
#define __shm
#endif

struct rtshm_region;

/**
 * struct rtshm_tick - a tick, as its tasks see it
 * @record: The region behind its first eight bytes, where its layout begins. At
 *	least the task's layout_bytes are there.
 * @number: Number of the tick, from 1.
 * @time_ns: CLOCK_MONOTONIC when the tick ran. The time of the first task is
 *	counted from here, of each other from the end of the one before.
 * @lateness_ns: From when the tick was due until it ran.
 * @period_ns: The region's period, 0 if it is kicked.
 * @missed: Periods without a tick of their own since the tick before, at most
 *	U32_MAX.
 * @some_int: The value of the region's word, as this tick saw it.
 * @announced: Whether the value was announced, and this tick took it.
 *
 * Valid until the task's tick() returns.
 */
struct rtshm_tick {
	void __shm		*record;
	u64			number;
	u64			time_ns;
	u64			lateness_ns;
	u64			period_ns;
	u32			missed;
	s32			some_int;
	bool			announced;

	/* private: */
	struct rtshm_region	*region;
};

/**
 * struct rtshm_task - code that runs in each tick of a region
 * @name: As a region's name. Each task of a region has another one.
 * @layout_bytes: Bytes that it uses of the region behind its first eight.
 * @tick: Called in each tick, in hard interrupt context, on PREEMPT_RT too, or where
 *	the region is kicked, with interrupts off. It must not sleep, allocate, wake
 *	or take a lock that is not raw, and takes a time far below the period. What
 *	it stores is in this tick's sample.
 * @gone: Called, if it is not NULL, when the region is deleted, in process context.
 *	tick() is not called any more, and the task may be added again, but not
 *	from within gone().
 *
 * The other members are rtshm's, and zero before the task is added for the first
 * time. The module that has the structure removes the task before it is unloaded,
 * and where its init fails.
 */
struct rtshm_task {
	const char		*name;
	size_t			layout_bytes;
	void			(*tick)(struct rtshm_task *task,
					const struct rtshm_tick *tick);
	void			(*gone)(struct rtshm_task *task);

	/* private: see task.c */
	struct list_head	list;
	struct rtshm_region	*region;
	u64			ticks;
	u64			time_max_ns;
	u64			overruns;
	u32			long_in_row;
	u32			prog_id;	/* see bpf.c */
	u32			insns_max;
	bool			stopped;
	bool			told;
};

int rtshm_task_add(const char *region_name, struct rtshm_task *task);
void rtshm_task_remove(struct rtshm_task *task);
int rtshm_task_kick(struct rtshm_task *task);
void rtshm_tick_shift(const struct rtshm_tick *tick, s64 by_ns);

/**
 * DOC: fields
 *
 * rtshm_read_u8() to rtshm_read_s64() load a naturally aligned field of a
 * record once, rtshm_write_u8() to rtshm_write_s64() store it once. A process that
 * has the region mapped may change it between any two of them: load it into a local,
 * check the local, use the local. Each field is whole by itself. Of what a write(2)
 * stores, a tick sees all or nothing, and so does a read(2) of what a tick stores.
 */
#define RTSHM_TASK_FIELD(type)						\
static inline type rtshm_read_##type(const type __shm *field)		\
{									\
	return READ_ONCE(*(const type __force *)field);			\
}									\
									\
static inline void rtshm_write_##type(type __shm *field, type value)	\
{									\
	WRITE_ONCE(*(type __force *)field, value);			\
}

RTSHM_TASK_FIELD(u8)
RTSHM_TASK_FIELD(s8)
RTSHM_TASK_FIELD(u16)
RTSHM_TASK_FIELD(s16)
RTSHM_TASK_FIELD(u32)
RTSHM_TASK_FIELD(s32)
RTSHM_TASK_FIELD(u64)
RTSHM_TASK_FIELD(s64)

#undef RTSHM_TASK_FIELD

#endif /* RTSHM_TASK_H */
