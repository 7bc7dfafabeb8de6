// SPDX-License-Identifier: GPL-2.0-only
/* The tick that takes an announcement wakes the poller that saw it. */

#include <linux/rtshm.h>

struct shared {
	__u64 words[1];
	unsigned long pending;
};

#include "kernel.h"

/* The bits of the one region. */
#define test_bit(bit, of)	(READ_ONCE(shared.pending) >> (bit) & 1)
#define set_bit(bit, of)	(shared.pending |= 1UL << (bit))

static bool test_and_clear_bit(int bit, const void *of)
{
	bool was;

	smp_mb();
	was = test_bit(bit, of);
	shared.pending &= ~(1UL << bit);
	smp_mb();
	return was;
}

struct file {
	void *private_data;
};

typedef void poll_table;

#define poll_wait(file, queue, wait)

#include "taken.h"

static struct rtshm_region region = { .mem = shared.words };

static __poll_t events;
static bool polled;

static void polling(void)
{
	struct file file = { &region };

	events = rtshm_state_poll(&file, NULL);
	smp_wmb();
	polled = true;
}

void check(void)
{
	union rtshm_word_bits seen;
	bool took, woken;

	loads_early = true;
	shared.words[0] = (union rtshm_word_bits){ .word.ready = 1 }.bits;
	smp_mb();
__CPROVER_ASYNC_1: polling();
	took = rtshm_take(&region, &seen);
	woken = rtshm_poller_disarm(&region, seen.word.ready, took);
	__CPROVER_assume(polled);
	always(took);
	always(events & EPOLLOUT || woken);
	reached(woken);
	reached(events & EPOLLOUT);
}
