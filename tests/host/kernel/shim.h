/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module's arithmetic needs of the kernel, to be compiled here: see
 * arithmetic.py.
 */
#include <stdlib.h>
#include <string.h>

#include "basics.h"

#define RTSHM_NONE		U64_MAX
#define RTSHM_NAME_MAX		31

/* Each access that other processes may see, in the order of the program. */
struct access {
	u64 address;
	u64 bytes;
};

extern struct access accesses[];
extern u64 accesses_count;

#define noted(x)		(accesses[accesses_count++ % 8192] = (struct access){ (u64)&(x), sizeof(x) })
#define READ_ONCE(x)		(noted(x), *(volatile const typeof(x) *)&(x))
#define WRITE_ONCE(x, value)	(noted(x), *(volatile typeof(x) *)&(x) = (value))

#define get_unaligned(from)	({ typeof(*(from) + 0) v; memcpy(&v, from, sizeof(*(from))); v; })
#define put_unaligned(value, to)	({ typeof(*(to)) v = (value); memcpy(to, &v, sizeof(v)); })

static inline u64 div64_u64_rem(u64 a, u64 b, u64 *rest)
{
	*rest = a % b;
	return a / b;
}

struct rtshm_config {
	u64 start_ns;
	struct {
		u64 period_ns, phase_ns;
	} set;
};

struct rtshm_region {
	void *mem;
};

struct rtshm_tick {
	u64 number, time_ns, lateness_ns;
	u32 missed;
	bool announced;
	struct rtshm_region *region;
};

typedef s64 ktime_t;

#define ns_to_ktime(ns)	((ktime_t)(ns))

static inline u64 *rtshm_word(const struct rtshm_region *region)
{
	return region->mem;
}

static inline u64 rtshm_load(const u64 *word)
{
	return *word;
}
