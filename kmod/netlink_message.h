/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RTSHM_NETLINK_MESSAGE_H
#define RTSHM_NETLINK_MESSAGE_H

#include <net/genetlink.h>

struct rtshm_region;

const char *rtshm_nl_text(const struct nlattr *attr);
int rtshm_nl_message(struct sk_buff *skb, const struct genl_family *family,
		     struct rtshm_region *region, const struct sk_buff *asked, bool inside,
		     u32 seq, int flags, u8 cmd, struct netlink_callback *cb);

#endif /* RTSHM_NETLINK_MESSAGE_H */
