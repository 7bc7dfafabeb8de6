// SPDX-License-Identifier: GPL-2.0-only
/* Programs that the verifier, or rtshm, must refuse: see test_bpf_tasks.py. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, __u64);
} trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__type(key, __u32);
		__type(value, __u32);
	});
} maps SEC(".maps");

struct timed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	__u32 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} locks SEC(".maps");

/* Refused by rtshm. */

RTSHM_TASK int beyond_the_record(struct rtshm_tick *tick)
{
	((volatile __u64 *)RECORD(tick))[2047] = 1;
	return 0;
}

RTSHM_TASK int with_a_trie(struct rtshm_tick *tick)
{
	__u64 key = tick->number;

	bpf_map_update_elem(&trie, &key, &key, 0);
	return 0;
}

RTSHM_TASK int with_a_tail_call(struct rtshm_tick *tick)
{
	bpf_tail_call(tick, &programs, 0);
	return 0;
}

RTSHM_TASK int with_a_map_of_maps(struct rtshm_tick *tick)
{
	__u32 key = 0;

	return !bpf_map_lookup_elem(&maps, &key);
}

static long turn(__u32 index, void *context)
{
	return 0;
}

RTSHM_TASK int with_a_callback(struct rtshm_tick *tick)
{
	bpf_loop(1000, turn, 0, 0);
	return 0;
}

__attribute__((noinline)) int global_function(int value)
{
	return value * 3;
}

RTSHM_TASK int with_a_function(struct rtshm_tick *tick)
{
	RECORD(tick)->output = global_function(tick->number);
	return 0;
}

/* From Linux 6.9 on: may_goto, as the kernel's bpf_experimental.h has it. */
RTSHM_TASK int with_a_may_goto(struct rtshm_tick *tick)
{
	for (;;) {
		asm volatile goto("1:.byte 0xe5; .byte 0; .long ((%l[out] - 1b - 8) / 8) & 0xffff; .short 0"
				  :::: out);
		RECORD(tick)->output++;
	}
out:
	return 0;
}

/* Refused by the verifier. */

RTSHM_TASK int with_a_timer(struct rtshm_tick *tick)
{
	__u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (timed)
		bpf_timer_init(&timed->timer, &timers, 1);
	return 0;
}

RTSHM_TASK int with_a_lock(struct rtshm_tick *tick)
{
	__u32 key = 0;
	struct locked *locked = bpf_map_lookup_elem(&locks, &key);

	if (locked) {
		bpf_spin_lock(&locked->lock);
		locked->value++;
		bpf_spin_unlock(&locked->lock);
	}
	return 0;
}

RTSHM_TASK int without_an_end(struct rtshm_tick *tick)
{
	while (RECORD(tick)->setpoint != 1)
		RECORD(tick)->output++;
	return 0;
}

RTSHM_TASK int with_a_variable_index(struct rtshm_tick *tick)
{
	((volatile __u8 *)RECORD(tick))[tick->number & 7] = 1;
	return 0;
}

RTSHM_TASK int before_the_record(struct rtshm_tick *tick)
{
	((volatile __u64 *)RECORD(tick))[-1] = 1;
	return 0;
}

RTSHM_TASK int through_a_pointer(struct rtshm_tick *tick)
{
	*(volatile __u32 *)(long)RECORD(tick)->setpoint = 1;
	return 0;
}

RTSHM_TASK int with_a_stolen_context(struct rtshm_tick *tick)
{
	return ((volatile __u64 *)tick)[12];
}
