/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a request may do, and what each member of the group may use up to a limit.
 */
#ifndef RTSHM_MAY_H
#define RTSHM_MAY_H

#include "config.h"

struct nlattr;
struct rtshm_member;
struct rtshm_region;
struct sk_buff;

enum rtshm_quota {
	RTSHM_QUOTA_REGIONS,
	RTSHM_QUOTA_BYTES,
	RTSHM_QUOTA_TICKS,
	RTSHM_QUOTAS,
};

int rtshm_member_join(struct rtshm_member **joined, kuid_t uid, struct netlink_ext_ack *extack);
void rtshm_member_leave(struct rtshm_member *member);
int rtshm_member_charge(struct rtshm_member *member, enum rtshm_quota quota, u64 amount,
			const char *attribute, struct netlink_ext_ack *extack);
void rtshm_member_add(struct rtshm_member *member, enum rtshm_quota quota, s64 amount);

bool rtshm_may_all(const struct sk_buff *skb);
int rtshm_may_ask(const struct sk_buff *skb, bool delegated, struct netlink_ext_ack *extack);
bool rtshm_may_change(const struct sk_buff *skb, const struct rtshm_region *region);
bool rtshm_may_read(const struct sk_buff *skb, const struct nlattr *fd,
		    const struct rtshm_region *region);
int rtshm_may_make(const struct sk_buff *skb, const struct rtshm_config *config,
		   const struct rtshm_settings *defaults, struct netlink_ext_ack *extack);
int rtshm_may_set(const struct sk_buff *skb, const struct rtshm_settings *set,
		  const struct rtshm_settings *before, struct netlink_ext_ack *extack);

#endif /* RTSHM_MAY_H */
