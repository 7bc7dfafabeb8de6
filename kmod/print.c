// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lines of a region in the log.
 *
 * A tick says that a line is due; the region's thread prints it, if no more than
 * RTSHM_PRINT_BURST were printed in this second. Each line that was due is taken
 * from region->line once: by who prints it, or by who counts it as withheld.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "rtshm.h"

/* Beside the value of a line that is due: see struct rtshm_region. */
#define RTSHM_LINE	BIT_ULL(32)

/* Lines in the log, a region, a second. */
#define RTSHM_PRINT_BURST	10

/* Any context. A line that was due is not printed any more. */
void rtshm_print_withhold(struct rtshm_region *region)
{
	if (atomic64_read(&region->line) && atomic64_xchg(&region->line, 0))
		atomic_inc(&region->withheld);
}

/*
 * Hard interrupt. Whether the thread has something to print: the line of this
 * tick, or one that the limit made wait.
 */
bool rtshm_print_due(struct rtshm_region *region, s32 value)
{
	u8 mode = READ_ONCE(region->print);	/* rtshm_print_set_mode() */
	bool due = mode == RTSHM_PRINT_MODE_EVERY_TICK;

	if (mode == RTSHM_PRINT_MODE_OFF) {
		rtshm_print_withhold(region);
		return false;
	}
	if (mode == RTSHM_PRINT_MODE_CHANGES)
		due = !test_and_set_bit(RTSHM_COMPARED, &region->pending) ||
		      value != region->compared_value;
	if (due) {
		region->compared_value = value;
		/* The line before is not printed yet: one for both. */
		if (atomic64_xchg(&region->line, RTSHM_LINE | (u32)value))
			atomic_inc(&region->withheld);
	}
	return atomic64_read(&region->line);
}

/* Any context but a tick's: what was withheld, in a line of its own. */
void rtshm_print_tell_withheld(struct rtshm_region *region)
{
	int withheld = atomic_xchg(&region->withheld, 0);

	if (withheld)
		pr_info("%s: %d lines withheld\n", rtshm_name(region), withheld);
}

/*
 * The region's thread. At most RTSHM_PRINT_BURST lines a second; what is over the limit
 * stays due, and the next tick asks again.
 */
void rtshm_print(struct rtshm_region *region)
{
	u64 line;

	if (!atomic64_read(&region->line) || !__ratelimit(&region->print_limit))
		return;
	line = atomic64_xchg(&region->line, 0);
	/* A tick withheld it meanwhile. */
	if (!line)
		return;
	/* The notice is one of the second's lines, or waits for the next. */
	if (atomic_read(&region->withheld) && __ratelimit(&region->print_limit))
		rtshm_print_tell_withheld(region);
	pr_info("%s: shared mem=%d\n", rtshm_name(region), (s32)line);
}

/*
 * Process context, rtshm_regions_lock held. mode: enum rtshm_print_mode. From
 * the next tick on; the line of the one before may still come.
 */
void rtshm_print_set_mode(struct rtshm_region *region, u8 mode)
{
	WRITE_ONCE(region->print, mode);	/* rtshm_print_due() */
	clear_bit(RTSHM_COMPARED, &region->pending);
}

void rtshm_print_init(struct rtshm_region *region)
{
	ratelimit_state_init(&region->print_limit, HZ, RTSHM_PRINT_BURST);
	/* The region counts what it withholds: no notice of the library's own. */
	ratelimit_set_flags(&region->print_limit, RATELIMIT_MSG_ON_RELEASE);
}
