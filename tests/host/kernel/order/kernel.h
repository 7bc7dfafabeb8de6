/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel and Python, as far as the functions of the sources need them that order.py
 * gives to cbmc. `struct shared` is what the threads of a check load without a lock.
 *
 * With --mm pso cbmc delays and reorders the stores of a thread, but runs its loads in their
 * order. In the thread that sets loads_early, a load returns what the memory has, or what it
 * had at the last read barrier of that thread: the processor may run it as early as that.
 */
#include <stddef.h>

#include "../basics.h"

typedef unsigned int __poll_t;

#define EFAULT			14
#define EPOLLIN			0x01
#define EPOLLOUT		0x04
#define EPOLLERR		0x08
#define EPOLLHUP		0x10
#define EPOLLRDNORM		0x40
#define EPOLLWRNORM		0x100
#define RTSHM_POLL_ARMED	0
#define RTSHM_COPY_TRIES	1
#undef __always_inline
#define __always_inline		inline
#define data_race(x)		(x)

#define max_t(type, a, b)	max((type)(a), (type)(b))

static struct shared shared, early;
static __CPROVER_thread_local bool loads_early;

bool nondet_bool(void);

#define EARLY(x)	(*(const typeof(x) *)((const char *)&early +			\
					      ((const char *)&(x) - (const char *)&shared)))
#define READ_ONCE(x)	(loads_early && nondet_bool() ? EARLY(x) : (x))
#define WRITE_ONCE(x, value)	((x) = (value))

#ifdef WITHOUT_WMB
#define smp_wmb()	((void)0)
#else
#define smp_wmb()	__CPROVER_fence("WWfence")
#endif
#ifdef WITHOUT_RMB
#define smp_rmb()	((void)0)
#else
#define smp_rmb()	do { if (loads_early) early = shared; } while (0)
#endif
#define full_fence()	__CPROVER_fence("WWfence", "WRfence", "RRfence", "RWfence")

static void smp_mb(void)
{
	full_fence();
	smp_rmb();
}

#define smp_mb__after_atomic()	smp_mb()

/* A store with release: no store before it comes after it. */
#define __atomic_store_n(to, value, order) \
	do { if ((order) == __ATOMIC_RELEASE) smp_wmb(); *(to) = (value); } while (0)

static u64 cmpxchg_relaxed(u64 *word, u64 old, u64 new)
{
	u64 seen;

	__CPROVER_atomic_begin();
	seen = *word;
	if (seen == old)
		*word = new;
	__CPROVER_atomic_end();
	return seen;
}

static u64 cmpxchg(u64 *word, u64 old, u64 new)
{
	u64 seen;

	full_fence();
	seen = cmpxchg_relaxed(word, old, new);
	/* One that fails orders nothing. */
	if (seen == old)
		smp_mb();
	return seen;
}

/* Locks. Nothing leaves a critical section by a return. */
typedef struct {
	bool held;
} raw_spinlock_t;

static bool lock(raw_spinlock_t *lock)
{
	__CPROVER_atomic_begin();
	__CPROVER_assume(!lock->held);
	lock->held = true;
	__CPROVER_atomic_end();
	smp_rmb();
	return true;
}

static bool unlock(raw_spinlock_t *lock)
{
	smp_wmb();
	lock->held = false;
	return false;
}

#define scoped_guard(kind, of)	for (bool in = lock(of); in; in = unlock(of))

#define get_unaligned(from)	(*(from))
#define put_unaligned(value, to)	((void)(*(to) = (value)))

struct mutex {
	int held;
};

static u64 ktime_get_ns(void)
{
	return 0;
}

struct wait_queue_head {
	bool waiter;
};

#define waitqueue_active(queue)	((queue)->waiter)

struct rtshm_region {
	void *mem;
	raw_spinlock_t lock;
	int sequence;			/* in struct shared */
	unsigned long pending;		/* the same */
	bool dead;
	struct wait_queue_head state_queue;
};

struct rtshm_tick {
	u64 number, time_ns, lateness_ns;
	u32 missed;
	bool announced;
	struct rtshm_region *region;
};

#define always(what)	__CPROVER_assert(what, #what)
#ifdef FAULTY
#define reached(what)
#else
#define reached(what)	__CPROVER_assert(!(what), "reached: " #what)
#endif
