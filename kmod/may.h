/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RTSHM_MAY_H
#define RTSHM_MAY_H

#include "config.h"

struct nlattr;
struct rtshm_region;
struct sk_buff;

bool rtshm_may_all(const struct sk_buff *skb);
kuid_t rtshm_may_member(const struct sk_buff *skb);
int rtshm_may_ask(const struct sk_buff *skb, bool delegated, struct netlink_ext_ack *extack);
bool rtshm_may_change(const struct sk_buff *skb, const struct rtshm_region *region);
bool rtshm_may_read(const struct sk_buff *skb, const struct nlattr *fd,
		    const struct rtshm_region *region);
int rtshm_may_make(const struct sk_buff *skb, const struct rtshm_config *config,
		   const struct rtshm_settings *defaults, struct netlink_ext_ack *extack);
int rtshm_may_set(const struct sk_buff *skb, const struct rtshm_settings *set,
		  const struct rtshm_settings *before, struct netlink_ext_ack *extack);

#endif /* RTSHM_MAY_H */
