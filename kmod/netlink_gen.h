/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	kmod/netlink/rtshm.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_RTSHM_GEN_H
#define _LINUX_RTSHM_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/rtshm_netlink.h>

extern const struct nla_policy rtshm_region_get_nl_policy[RTSHM_A_REGION_FD + 1];

extern const struct nla_policy rtshm_region_new_nl_policy[RTSHM_A_REGION_CPU_LATENCY_NS + 1];

extern const struct nla_policy rtshm_region_del_nl_policy[RTSHM_A_REGION_NAME + 1];

extern const struct nla_policy rtshm_region_set_nl_policy[RTSHM_A_REGION_CPU_LATENCY_NS + 1];

extern const struct nla_policy rtshm_task_new_nl_policy[RTSHM_A_TASK_REQUEST_UNBOUNDED + 1];

extern const struct nla_policy rtshm_task_set_nl_policy[RTSHM_A_TASK_REQUEST_UNBOUNDED + 1];

extern const struct nla_policy rtshm_task_del_nl_policy[RTSHM_A_TASK_REQUEST_NAME + 1];

/* Ops table for rtshm */
extern const struct genl_ops rtshm_nl_ops[7];

int rtshm_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_region_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int rtshm_nl_region_new_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_region_del_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_region_set_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_task_new_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_task_set_doit(struct sk_buff *skb, struct genl_info *info);
int rtshm_nl_task_del_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	RTSHM_NLGRP_REGIONS,
	RTSHM_NLGRP_DETAILS,
};

#endif /* _LINUX_RTSHM_GEN_H */
