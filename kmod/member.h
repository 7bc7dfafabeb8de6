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

struct rtshm_member *rtshm_member_join(kuid_t uid, struct netlink_ext_ack *extack);
void rtshm_member_leave(struct rtshm_member *member);
int rtshm_member_charge(struct rtshm_member *member, enum rtshm_quota quota, u64 amount,
			const char *attribute, struct netlink_ext_ack *extack);
void rtshm_member_add(struct rtshm_member *member, enum rtshm_quota quota, s64 amount);
bool rtshm_member_is(const struct rtshm_member *member, kuid_t uid);
u32 rtshm_member_uid(const struct rtshm_member *member);

#endif /* RTSHM_MEMBER_H */
