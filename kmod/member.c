// SPDX-License-Identifier: GPL-2.0-only
/*
 * The members of the group that the module parameter `group` names: users who make
 * regions without CAP_SYS_RESOURCE, and what each of them uses of the quotas.
 *
 * A member is in the list while a region of the user exists, including deleted ones
 * that are in use. Memory counts until it is freed, ticks until the region stops.
 */

#include <linux/slab.h>

#include "member.h"
#include "rtshm.h"

struct rtshm_member {
	struct list_head	list;
	kuid_t			uid;
	u64			used[RTSHM_QUOTAS];
};

/* Innermost: guards the list and what each member uses. */
static DEFINE_MUTEX(rtshm_members_lock);
static LIST_HEAD(rtshm_members);

static const struct {
	const char *parameter;
	const u64 *max;
} rtshm_quotas[RTSHM_QUOTAS] = {
	[RTSHM_QUOTA_REGIONS] = { "group_regions", &rtshm_limits.group_regions },
	[RTSHM_QUOTA_BYTES] = { "group_bytes", &rtshm_limits.group_bytes },
	[RTSHM_QUOTA_TICKS] = { "group_ticks_hz", &rtshm_limits.group_ticks_hz },
};

/* rtshm_members_lock held. */
static int rtshm_member_use(struct rtshm_member *member, enum rtshm_quota quota, u64 amount,
			    const char *attribute, struct netlink_ext_ack *extack)
{
	u64 used = member->used[quota], max = *rtshm_quotas[quota].max;

	/* More may be used than the maximum: see rtshm_member_add(). */
	if (used > max || amount > max - used)
		return rtshm_refuse(extack, -EDQUOT, "%s: %llu more: %llu of %s=%llu are used",
				    attribute, amount, used, rtshm_quotas[quota].parameter, max);
	member->used[quota] += amount;
	return 0;
}

/* rtshm_members_lock held. */
static void rtshm_member_free_unused(struct rtshm_member *member)
{
	if (member->used[RTSHM_QUOTA_REGIONS])
		return;
	list_del(&member->list);
	kfree(member);
}

/*
 * Process context. Counts one region of a user: 0, -EDQUOT or -ENOMEM. Stores the member,
 * unless it is INVALID_UID, which has no quotas: the functions below take NULL for it.
 */
int rtshm_member_join(struct rtshm_member **joined, kuid_t uid, struct netlink_ext_ack *extack)
{
	struct rtshm_member *member;
	int err;

	if (!uid_valid(uid))
		return 0;
	guard(mutex)(&rtshm_members_lock);
	list_for_each_entry(member, &rtshm_members, list)
		if (uid_eq(member->uid, uid))
			break;
	if (list_entry_is_head(member, &rtshm_members, list)) {
		member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
		if (!member)
			return -ENOMEM;
		member->uid = uid;
		list_add(&member->list, &rtshm_members);
	}
	err = rtshm_member_use(member, RTSHM_QUOTA_REGIONS, 1, "name", extack);
	if (err)
		rtshm_member_free_unused(member);
	else
		*joined = member;
	return err;
}

/* The region is gone, and nothing of it counts any more. */
void rtshm_member_leave(struct rtshm_member *member)
{
	if (!member)
		return;
	guard(mutex)(&rtshm_members_lock);
	member->used[RTSHM_QUOTA_REGIONS]--;
	rtshm_member_free_unused(member);
}

/* Counts more of a quota: 0 or -EDQUOT with a message about the attribute. */
int rtshm_member_charge(struct rtshm_member *member, enum rtshm_quota quota, u64 amount,
			const char *attribute, struct netlink_ext_ack *extack)
{
	if (!member)
		return 0;
	guard(mutex)(&rtshm_members_lock);
	return rtshm_member_use(member, quota, amount, attribute, extack);
}

/* Counts more or, if negative, less of a quota, whether there is room or not. */
void rtshm_member_add(struct rtshm_member *member, enum rtshm_quota quota, s64 amount)
{
	if (!member)
		return;
	guard(mutex)(&rtshm_members_lock);
	member->used[quota] += amount;
}
