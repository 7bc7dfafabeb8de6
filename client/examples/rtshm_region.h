/* For BPF programs in the tick of a region, whose record, after its first 8 bytes, is:
 * setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16
 */
#ifndef _REGION_PI_BPF_H
#define _REGION_PI_BPF_H

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

/* A q16 has 16 bits behind the point. Of a constant: RTSHM_Q16(0.5) is 32768. */
#ifndef RTSHM_Q16
#define RTSHM_Q16(value) ((__s32)((value) * 65536.0 + ((value) < 0 ? -0.5 : 0.5)))
#define RTSHM_Q16_MULTIPLY(a, b) ((__s32)((__s64)(a) * (b) >> 16))
#endif

struct region_pi {
	__s32 setpoint;	/* q16: see RTSHM_Q16() */
	__s32 kp;	/* q16: see RTSHM_Q16() */
	__s32 ki;	/* q16: see RTSHM_Q16() */
	__s32 output;	/* q16: see RTSHM_Q16() */
	__s32 error;	/* q16: see RTSHM_Q16() */
	__s32 drive;	/* q16: see RTSHM_Q16() */
};
static_assert(sizeof(struct region_pi) == 24, "sizeof(struct region_pi)");
static_assert(offsetof(struct region_pi, setpoint) == 0, "offsetof(struct region_pi, setpoint)");
static_assert(offsetof(struct region_pi, kp) == 4, "offsetof(struct region_pi, kp)");
static_assert(offsetof(struct region_pi, ki) == 8, "offsetof(struct region_pi, ki)");
static_assert(offsetof(struct region_pi, output) == 12, "offsetof(struct region_pi, output)");
static_assert(offsetof(struct region_pi, error) == 16, "offsetof(struct region_pi, error)");
static_assert(offsetof(struct region_pi, drive) == 20, "offsetof(struct region_pi, drive)");

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
#define RECORD(tick) ((volatile struct region_pi *)*(volatile __u64 *)&(tick)->record)

/* RTSHM_TASK int controller(struct rtshm_tick *tick) { ...; return 0; } */
#define RTSHM_TASK __attribute__((section("raw_tp.w"), used))

/* RTSHM_LICENSE("GPL"); most helpers of the kernel are for GPL programs. */
#define RTSHM_LICENSE(text) char _license[] __attribute__((section("license"), used)) = text

#endif
