/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RTSHM_NETLINK_MESSAGE_H
#define RTSHM_NETLINK_MESSAGE_H

#include <net/genetlink.h>

struct rtshm_region;

/* netlink.c */
const char *rtshm_nl_name(struct genl_info *info, int attr, const char *label);
struct rtshm_region *rtshm_nl_claim(const struct sk_buff *skb, struct genl_info *info, int attr,
				    const char *label);

/* netlink_message.c */
int rtshm_nl_message(struct sk_buff *skb, const struct genl_family *family,
		     struct rtshm_region *region, const struct sk_buff *asked, bool inside,
		     u32 seq, int flags, u8 cmd, struct netlink_callback *cb);

#endif /* RTSHM_NETLINK_MESSAGE_H */
