/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Memory shared with the periodic task of the rtshm module.
 *
 * /dev/rtshm/<name> behaves as a file of the region's size. Its use from C
 * (without error handling):
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

#endif /* _UAPI_LINUX_RTSHM_H */
