// SPDX-License-Identifier: GPL-2.0-only
/* write(2), twice, and a read(2) that is wholly one of them or none, and not one that was over. */

#include <linux/rtshm.h>

#define WORDS	2

struct shared {
	__u64 words[WORDS];
	unsigned int sequence;
	_Bool done;
};

#include "kernel.h"

/* As <linux/seqlock.h> has them, for the one that is here. A reader waits until it is even. */
#define write_seqcount_begin(of)	do { shared.sequence++; smp_wmb(); } while (0)
#define write_seqcount_end(of)		do { smp_wmb(); shared.sequence++; } while (0)

static unsigned int read_seqcount_begin(const void *of)
{
	unsigned int sequence = READ_ONCE(shared.sequence);

	__CPROVER_assume(!(sequence & 1));
	smp_rmb();
	return sequence;
}

static bool read_seqcount_retry(const void *of, unsigned int before)
{
	smp_rmb();
	return READ_ONCE(shared.sequence) != before;
}

#include "taken.h"

static struct rtshm_region region = { .mem = shared.words };

static void writing(void)
{
	for (u64 value = 1; value <= 2; value++) {
		u64 from[WORDS];

		for (int word = 0; word < WORDS; word++)
			from[word] = value;
		rtshm_copy_in(&region, 0, from, sizeof(from));
	}
	smp_wmb();
	WRITE_ONCE(shared.done, true);
}

void check(void)
{
	u64 got[WORDS];
	bool done;

	loads_early = true;
__CPROVER_ASYNC_1: writing();
	done = READ_ONCE(shared.done);
	smp_rmb();
	rtshm_copy_out(&region, 0, got, sizeof(got));
	for (int word = 1; word < WORDS; word++)
		always(got[word] == got[0]);
	always(!done || got[0] == 2);
	reached(got[0] == 0);
	reached(got[0] == 1);
	reached(got[0] == 2);
	reached(done);
}
