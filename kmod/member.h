/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The members of the group, and what each may use up to a limit.
 */
#ifndef RTSHM_MEMBER_H
#define RTSHM_MEMBER_H

#include <linux/netlink.h>
#include <linux/types.h>
#include <linux/uidgid.h>

enum rtshm_quota {
	RTSHM_QUOTA_REGIONS,
	RTSHM_QUOTA_BYTES,
	RTSHM_QUOTA_TICKS,
	RTSHM_QUOTAS,
};

struct rtshm_member;

int rtshm_member_join(struct rtshm_member **joined, kuid_t uid, struct netlink_ext_ack *extack);
void rtshm_member_leave(struct rtshm_member *member);
int rtshm_member_charge(struct rtshm_member *member, enum rtshm_quota quota, u64 amount,
			const char *attribute, struct netlink_ext_ack *extack);
void rtshm_member_add(struct rtshm_member *member, enum rtshm_quota quota, s64 amount);

#endif /* RTSHM_MEMBER_H */
