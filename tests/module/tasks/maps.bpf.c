// SPDX-License-Identifier: GPL-2.0-only
/* A map of each type that a task may have, used in each tick. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

#define MAP(name, kind, flags)				\
struct {						\
	__uint(type, BPF_MAP_TYPE_##kind);		\
	__uint(map_flags, flags);			\
	__uint(max_entries, 64);			\
	__type(key, __u32);				\
	__type(value, __u64);				\
} name SEC(".maps")

#define LIST(name, kind)				\
struct {						\
	__uint(type, BPF_MAP_TYPE_##kind);		\
	__uint(max_entries, 64);			\
	__type(value, __u64);				\
} name SEC(".maps")

MAP(array, ARRAY, 0);
MAP(percpu_array, PERCPU_ARRAY, 0);
MAP(hash, HASH, 0);
MAP(hash_no_prealloc, HASH, BPF_F_NO_PREALLOC);
MAP(percpu_hash, PERCPU_HASH, 0);
MAP(lru, LRU_HASH, 0);
MAP(lru_percpu, LRU_PERCPU_HASH, 0);
LIST(queue, QUEUE);
LIST(stack, STACK);
LIST(bloom, BLOOM_FILTER);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

#define USE(map) do {					\
	__u64 *found = bpf_map_lookup_elem(&map, &key);	\
							\
	if (found)					\
		(*found)++;				\
	bpf_map_update_elem(&map, &key, &value, 0);	\
} while (0)

RTSHM_TASK int maps(struct rtshm_tick *tick)
{
	__u64 value = tick->number, before;
	__u32 key = tick->number & 127;

	USE(array);
	USE(percpu_array);
	USE(hash);
	USE(hash_no_prealloc);
	USE(percpu_hash);
	USE(lru);
	USE(lru_percpu);
	key = (key + 64) & 127;
	bpf_map_delete_elem(&hash, &key);
	bpf_map_delete_elem(&hash_no_prealloc, &key);
	bpf_map_delete_elem(&lru, &key);
	if (bpf_map_push_elem(&queue, &value, 0))
		bpf_map_pop_elem(&queue, &before);
	if (bpf_map_push_elem(&stack, &value, 0))
		bpf_map_pop_elem(&stack, &before);
	bpf_map_push_elem(&bloom, &value, 0);
	bpf_ringbuf_output(&ring, &value, sizeof(value), 0);
	bpf_perf_event_output(tick, &events, BPF_F_CURRENT_CPU, &value, sizeof(value));
	RECORD(tick)->output++;
	return 0;
}
