/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the supported kernels, each as the newest interface
 * supplied to older ones where C allows it. Each goes by a name of its own and is
 * defined to the newest one: a stable release that gains the interface later
 * still compiles.
 */
#ifndef RTSHM_COMPAT_H
#define RTSHM_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "rtshm needs Linux 6.1 or newer"
#endif

#ifndef scoped_guard
#error "rtshm needs guard(): Linux 6.5, or a late 6.1 stable release (6.1.192 has it)"
#endif

#ifndef CONFIG_64BIT
#error "rtshm needs a 64-bit kernel: the shared word is one 8-byte store"
#endif

/*
 * 6.1, the only release before 6.5 that has guard():
 * - 6.2 and 6.3: devnode() and uevent() of a device_type take a const device
 *   (a9b12f8b4e33, 162736b0d71a).
 * - 6.2: pre_doit() callbacks take a genl_split_ops (20b0b53acac6).
 * - 6.2: an answer has room for the text of a refusal (51c352bdbcd2).
 * - 6.3: vma->vm_flags is read-only (bc292ab00f6c).
 * - 6.5: copy_splice_read() for files that have no page cache (33b3b041543e).
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define rtshm_const_device struct device
#define rtshm_doit_ops const struct genl_ops
#define NETLINK_MAX_FMTMSG_LEN 80
#define vm_flags_mod rtshm_vm_flags_mod
#define copy_splice_read generic_file_splice_read

/* By the number of the caller, which sends its own answer: few callers share a text. */
static inline char *rtshm_extack_text(struct netlink_ext_ack *extack)
{
	static char texts[256][NETLINK_MAX_FMTMSG_LEN];

	return texts[current->pid % ARRAY_SIZE(texts)];
}

static inline void rtshm_vm_flags_mod(struct vm_area_struct *vma,
				      vm_flags_t set, vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#else
#define rtshm_const_device const struct device
#define rtshm_doit_ops const struct genl_split_ops
#define rtshm_extack_text(extack) ((extack)->_msg_buf)
#endif

/* 6.12: <asm/unaligned.h> became <linux/unaligned.h> (5f60d5f6bbc1). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* 6.13: hrtimer_setup() replaces hrtimer_init() (908a1d775422). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void
rtshm_hrtimer_setup(struct hrtimer *timer,
		    enum hrtimer_restart (*function)(struct hrtimer *timer),
		    clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}

#define hrtimer_setup rtshm_hrtimer_setup
#endif

#endif /* RTSHM_COMPAT_H */
