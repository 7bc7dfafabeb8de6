/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF programs as tasks. All of it in process context, the region claimed.
 */
#ifndef RTSHM_BPF_H
#define RTSHM_BPF_H

#include "config.h"

struct rtshm_region;

#ifdef CONFIG_BPF_SYSCALL
int rtshm_bpf_new(struct rtshm_region *region, const char *name, u32 fd, bool unbounded,
		  struct netlink_ext_ack *extack);
int rtshm_bpf_set(struct rtshm_region *region, const char *name, u32 fd, bool unbounded,
		  struct netlink_ext_ack *extack);
int rtshm_bpf_del(struct rtshm_region *region, const char *name,
		  struct netlink_ext_ack *extack);
#else
static inline int rtshm_bpf_new(struct rtshm_region *region, const char *name, u32 fd,
				bool unbounded, struct netlink_ext_ack *extack)
{
	return rtshm_refuse(extack, -EOPNOTSUPP, "prog-fd: this kernel has no CONFIG_BPF_SYSCALL");
}

#define rtshm_bpf_set rtshm_bpf_new

static inline int rtshm_bpf_del(struct rtshm_region *region, const char *name,
				struct netlink_ext_ack *extack)
{
	return rtshm_refuse(extack, -ESRCH, "name: the region has no BPF task of this name");
}
#endif

#endif /* RTSHM_BPF_H */
