/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all C of the module needs of the kernel, to be compiled or checked here: shim.h and
 * order/kernel.h have the rest.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/rtshm.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define U64_MAX			UINT64_MAX
#define RTSHM_TICKS_BEFORE	0ULL
#define __shm
#define __force
#define lockdep_assert_held(lock)

#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))

/* A ring has nobody here who waits. */
struct list_head {
	struct list_head *next, *prev;
};

#define list_for_each_entry(each, head, member)	for (each = NULL; each;)
#define wake_up_process(task)			((void)(task))

struct kref {
	int count;
};
