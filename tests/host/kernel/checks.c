// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiled behind the functions of the module that arithmetic.py takes out of its sources.
 * Each check goes through all cases and returns their number, or -1 for a wrong answer.
 */

struct access accesses[8192];
u64 accesses_count;

/*
 * Of a ring of each depth, at each position: what a reader gets that has read up to
 * each of the last samples, in the pieces in which it copies them.
 */
s64 check_ring(u32 depth_max, u32 record_bytes)
{
	u64 words[512] = {};
	struct rtshm_region region = { .mem = words };
	s64 cases = 0;

	for (u32 depth = 1; depth <= depth_max; depth++) {
		struct rtshm_ring ring = {
			.depth = depth,
			.stride = sizeof(struct rtshm_sample) + record_bytes,
			.wake_at = U64_MAX,
			.wake_ns = U64_MAX,
		};

		ring.slots = calloc(depth, ring.stride);
		for (u64 head = 1; head <= 3 * depth + 3; head++) {
			struct rtshm_tick tick = { .number = head, .region = &region };

			words[record_bytes / 8 - 1] = head;
			rtshm_ring_push(&ring, &tick, head);
			for (u64 lag = 0; lag <= min(2 * depth + 2, head); lag++) {
				u64 next = rtshm_ring_first(&ring, head - lag);
				u64 kept = min(min(lag, head), depth);

				if (next != head - kept)
					return -1;
				while (next < head) {
					const struct rtshm_sample *got;
					const void *samples;
					u32 count = rtshm_ring_run(&ring, next, &samples);

					if (!count || count > head - next)
						return -1;
					for (got = samples; count--; got = (void *)got + ring.stride) {
						const u64 *record = (const u64 *)got->record;

						if (got->tick != ++next || record[0] != next ||
						    record[record_bytes / 8 - 1] != next)
							return -1;
						cases++;
					}
				}
			}
		}
		free(ring.slots);
	}
	return cases;
}

/* A push says that a reader is to be woken at the sample or the time it asked for, once. */
s64 check_wake(u32 most)
{
	u64 words[1] = {};
	struct rtshm_region region = { .mem = words };
	s64 cases = 0;

	for (u64 at = 1; at <= most; at++)
		for (u64 ns = 1; ns <= most; ns++) {
			struct rtshm_ring ring = { .depth = 4, .stride = sizeof(struct rtshm_sample) + 8 };

			ring.slots = calloc(ring.depth, ring.stride);
			ring.wake_at = at;
			ring.wake_ns = ns;
			for (u64 head = 1; head <= most; head++, cases++) {
				struct rtshm_tick tick = { .time_ns = head, .region = &region };

				if (rtshm_ring_push(&ring, &tick, 0) != (head == min(at, ns)))
					return -1;
			}
			free(ring.slots);
		}
	return cases;
}

/*
 * A field of 1, 2, 4 or 8 bytes that lies naturally aligned in the range was one access:
 * it is in no two pieces. All bytes were accessed once.
 */
static bool pieces_are_whole(u64 memory, u64 pos, u64 len)
{
	u64 at = memory + pos;

	for (u64 i = 0; i < accesses_count; at += accesses[i++].bytes)
		if (accesses[i].address != at || at % accesses[i].bytes)
			return false;
	if (at != memory + pos + len)
		return false;
	for (u64 bytes = 2; bytes <= 8; bytes *= 2)
		for (u64 i = 1; i < accesses_count; i++) {
			u64 field = accesses[i].address / bytes * bytes;

			if (field < accesses[i].address && field >= memory + pos &&
			    field + bytes <= memory + pos + len)
				return false;
		}
	return true;
}

/* Copies of each length from each place, between unaligned buffers. */
s64 check_copies(u64 bytes)
{
	u8 *memory = aligned_alloc(4096, 4096), *model = malloc(4096), *own = malloc(4096);
	struct rtshm_region region = { .mem = memory };
	s64 cases = 0;

	for (u64 pos = 0; pos < bytes; pos++)
		for (u64 len = 0; pos + len <= bytes; len++, cases++) {
			u8 *other = own + (pos + len) % 8;

			for (u64 i = 0; i < bytes; i++) {
				memory[i] = model[i] = i * 7;
				other[i] = i * 13 + len;
			}
			memcpy(model + pos, other, len);
			accesses_count = 0;
			rtshm_move(&region, pos, other, len, true);
			if (!pieces_are_whole((u64)memory, pos, len) || memcmp(memory, model, bytes))
				return -1;
			memset(other, 0, bytes);
			accesses_count = 0;
			rtshm_move(&region, pos, other, len, false);
			if (!pieces_are_whole((u64)memory, pos, len) || memcmp(other, model + pos, len))
				return -1;
		}
	free(memory);
	free(model);
	free(own);
	return cases;
}

bool name_ok(const char *name)
{
	return rtshm_name_ok(name);
}

u64 first_tick(u64 start_ns, u64 phase_ns, u64 period_ns, u64 now_ns)
{
	struct rtshm_config config = {
		.start_ns = start_ns, .set = { period_ns, phase_ns },
	};

	return rtshm_first_tick(&config, now_ns);
}
