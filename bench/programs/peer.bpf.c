// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtshm in BPF, as far as it goes: a periodic timer that takes what a program
 * stored into a mapped array, and a ring buffer of samples.
 */

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define CLOCK_MONOTONIC	1
#define TICKS		65536
#define READY		(1ULL << 32)

struct work {
	__u64			due_ns;
	__u64			period_ns;
	__u64			ticks;
	__u64			taken;
	__u64			keep;
};

struct task {
	struct bpf_timer	timer;
	struct work		work;
};

/* As struct rtshm_sample with a record of 24 bytes. */
struct sample {
	__u64	tick;
	__u64	time_ns;
	__u64	lateness_ns;
	__u32	flags;
	__u32	missed;
	__u64	record[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task);
} tasks SEC(".maps");

/* Of their own: a program of perf has no map with a timer in it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} clocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TICKS);
	__type(key, __u32);
	__type(value, __u64);
} lateness_ns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* The word of a region: the value in the low half, the flag above it. */
static void take(struct work *work)
{
	__u32 zero = 0;
	__u64 *word = bpf_map_lookup_elem(&state, &zero);
	__u64 seen;

	if (!word)
		return;
	seen = *(volatile __u64 *)word;
	if (seen & READY && __sync_val_compare_and_swap(word, seen, seen & ~READY) == seen)
		work->taken++;
}

/* What a tick does, and when the next is due. */
static void tick_work(struct work *work, __u64 now)
{
	__s64 late = now - work->due_ns;

	take(work);
	if (work->keep) {
		__u32 at = work->ticks;
		__u64 *kept = bpf_map_lookup_elem(&lateness_ns, &at);

		if (kept)
			*kept = late;
	}
	work->ticks++;
	work->due_ns += work->period_ns;
	if (late > 0 && late >= work->period_ns && work->period_ns)
		work->due_ns += late / work->period_ns * work->period_ns;
}

static int tick(void *map, int *key, struct task *task)
{
	tick_work(&task->work, bpf_ktime_get_ns());
	bpf_timer_start(&task->timer, task->work.due_ns, BPF_F_TIMER_ABS);
	return 0;
}

struct request {
	__u64	period_ns;	/* 0: stop */
	__u64	keep;
};

static void begin(struct work *work, const struct request *request)
{
	work->period_ns = request->period_ns;
	work->keep = request->keep;
	work->ticks = 0;
	work->taken = 0;
	work->due_ns = 0;
}

SEC("syscall")
int run(struct request *request)
{
	__u32 zero = 0;
	struct task *task = bpf_map_lookup_elem(&tasks, &zero);

	if (!task)
		return 1;
	if (!request->period_ns)
		return bpf_timer_cancel(&task->timer) < 0;
	/* -EBUSY: it was before. */
	bpf_timer_init(&task->timer, &tasks, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&task->timer, tick);
	begin(&task->work, request);
	task->work.due_ns = bpf_ktime_get_ns() + request->period_ns;
	return bpf_timer_start(&task->timer, task->work.due_ns, BPF_F_TIMER_ABS) != 0;
}

/* The same on perf's cpu-clock, a timer in hard interrupt: late compared with its first. */
SEC("perf_event")
int clock(void *context)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&clocks, &zero);

	if (!work || !work->period_ns)
		return 0;
	if (!work->due_ns)
		work->due_ns = now;
	tick_work(work, now);
	return 0;
}

SEC("syscall")
int expect(struct request *request)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&clocks, &zero);

	if (!work)
		return 1;
	begin(work, request);
	return 0;
}

static long push(__u32 index, void *unused)
{
	struct sample sample = { .tick = index };

	return bpf_ringbuf_output(&ring, &sample, sizeof(sample), BPF_RB_NO_WAKEUP) != 0;
}

struct amount {
	__u64	samples;
};

SEC("syscall")
int fill(struct amount *amount)
{
	return bpf_loop(amount->samples, push, 0, 0) != amount->samples;
}

char LICENSE[] SEC("license") = "GPL";
