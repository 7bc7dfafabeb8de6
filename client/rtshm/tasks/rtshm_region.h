/* For BPF programs in the tick of a region, whose record, after its first 8 bytes, is:
 * mark:i32
 */
#ifndef _REGION_BPF_H
#define _REGION_BPF_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

#ifndef static_assert
#define static_assert _Static_assert
#endif
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

struct region {
	__s32 mark;
};
static_assert(sizeof(struct region) == 4, "sizeof(struct region)");
static_assert(offsetof(struct region, mark) == 0, "offsetof(struct region, mark)");

/* What a program gets: a tick, as its tasks see it. */
struct rtshm_tick {
	__u64 record;	/* see RECORD() */
	__u64 number;	/* of the tick, from 1 */
	__u64 time_ns;	/* CLOCK_MONOTONIC when it ran */
	__u64 lateness_ns;
	__u64 period_ns;
	__u64 missed;	/* periods without a tick since the tick before */
	__s64 some_int;	/* the value of the region's word, as this tick saw it */
	__u64 announced;	/* whether this tick took it */
};

/* The record: RECORD(tick)->field is one load or one store of the field. It loads the
 * pointer to the record each time, because the verifier forgets a pointer that the
 * compiler keeps on the stack. An index must be a constant.
 */
#define RECORD(tick) ((volatile struct region *)*(volatile __u64 *)&(tick)->record)

/* RTSHM_TASK int controller(struct rtshm_tick *tick) { ...; return 0; } */
#define RTSHM_TASK __attribute__((section("raw_tp.w"), used))

/* RTSHM_LICENSE("GPL"); most helpers of the kernel are for GPL programs. */
#define RTSHM_LICENSE(text) char _license[] __attribute__((section("license"), used)) = text

#endif
