/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RTSHM_NETLINK_H
#define RTSHM_NETLINK_H

#include <net/genetlink.h>

struct rtshm_region;

/* netlink.c */
int rtshm_netlink_init(void);
void rtshm_netlink_exit(void);
void rtshm_netlink_open(void);
void rtshm_netlink_notify(struct rtshm_region *region, u8 cmd);

/* netlink_message.c */
int rtshm_nl_message(struct sk_buff *skb, const struct genl_family *family,
		     struct rtshm_region *region, const struct sk_buff *asked, u32 seq,
		     int flags, u8 cmd, struct netlink_callback *cb);

#endif /* RTSHM_NETLINK_H */
