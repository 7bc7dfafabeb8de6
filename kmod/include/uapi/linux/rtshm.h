/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Memory shared with the periodic task of the rtshm module.
 *
 * /dev/rtshm/<name> behaves like a file of the region's size. From C, without error
 * handling:
 *
 *     fd = open("/dev/rtshm/default", O_RDWR);
 *     word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *     word->some_int = 42;
 *     __atomic_store_n(&word->ready, 1, __ATOMIC_RELEASE);
 *
 * A tick prints "rtshm: default: shared mem=42" and clears ready.
 */
#ifndef _UAPI_LINUX_RTSHM_H
#define _UAPI_LINUX_RTSHM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct rtshm_word - the first eight bytes of every region
 * @some_int: The value that the tick prints.
 * @ready: Set to 1 by a writer to announce a value; cleared by the tick that
 *	took it. Any value but 0 announces.
 * @pad: Not used. Written as 0 by a writer that stores the word at once.
 *
 * The word is aligned so that value and flag can be one store. A tick reads it
 * once and clears @ready by compare-and-exchange of the whole word: when a
 * writer comes in between, its announcement stays for the next tick.
 */
struct rtshm_word {
	__s32	some_int;
	__u8	ready;
	__u8	pad[3];
} __attribute__((aligned(8)));

/* struct rtshm_sample.flags */
#define RTSHM_SAMPLE_ANNOUNCED	1	/* the tick took an announcement */

/**
 * struct rtshm_sample - what a tick saw of a region
 * @tick: Number of the tick, from 1. A gap in the numbers means that samples were lost.
 * @time_ns: CLOCK_MONOTONIC when the tick ran.
 * @lateness_ns: From when the tick was due until it ran.
 * @flags: RTSHM_SAMPLE_ANNOUNCED or 0.
 * @missed: Periods without a tick of their own since the tick before, at most
 *	0xffffffff.
 * @record: The first bytes of the region; their number is the region's
 *	record-bytes, a multiple of 8.
 *
 * read(2) of /dev/rtshm/<name>.samples returns whole samples. Each has the region's
 * sample-bytes: the header may grow, the record stays at the end.
 */
struct rtshm_sample {
	__u64	tick;
	__u64	time_ns;
	__u64	lateness_ns;
	__u32	flags;
	__u32	missed;
	__u8	record[];
};

/**
 * struct rtshm_watermark - when a reader of samples is woken
 * @samples: The number of unread samples at which it is woken, 1 to half the history.
 * @reserved: 0.
 * @wait_ns: It is also woken by the first tick that comes this long after the last
 *	read(2) of samples, lseek(2) or RTSHM_IOC_WATERMARK; 0: never.
 *
 * The default is samples = 1 and wait_ns = 0. The watermark applies to poll(2), and to
 * a read(2) that waits; a buffer with room for fewer samples lowers it for that read.
 */
struct rtshm_watermark {
	__u32	samples;
	__u32	reserved;
	__u64	wait_ns;
};

#define RTSHM_IOC_WATERMARK	_IOW('r', 0x80, struct rtshm_watermark)

/**
 * struct rtshm_info - what a file descriptor of either node belongs to
 * @name: Name of the region, padded with zeroes.
 * @id: Number of the region.
 * @sample_bytes: Bytes of a sample; 0: the region has no history.
 * @size: Bytes of the region.
 * @period_ns: Period of its tick in ns; 0: it ticks when it is kicked.
 * @layout: The layout that is stored with the region, padded with zeroes.
 *
 * It needs no netlink, which containers may not have, and also describes a region
 * that was deleted.
 */
struct rtshm_info {
	char	name[32];
	__u32	id;
	__u32	sample_bytes;
	__u64	size;
	__u64	period_ns;
	char	layout[1024];
};

#define RTSHM_IOC_INFO		_IOR('r', 0x81, struct rtshm_info)

/*
 * Makes a region without a period tick once, on the cpu of the caller; the tick is over
 * when the call returns. Takes a descriptor of the region, not of its samples, that is
 * open for writing.
 */
#define RTSHM_IOC_KICK		_IO('r', 0x82)

#endif /* _UAPI_LINUX_RTSHM_H */
