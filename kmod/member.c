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

/*
 * Process context. Counts one region of a user: -EDQUOT or -ENOMEM. NULL for
 * INVALID_UID, which has no quotas; so for all functions below.
 */
struct rtshm_member *rtshm_member_join(kuid_t uid, struct netlink_ext_ack *extack)
{
	struct rtshm_member *member, *new;
	int err;

	if (!uid_valid(uid))
		return NULL;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return ERR_PTR(-ENOMEM);
	new->uid = uid;
	scoped_guard(mutex, &rtshm_members_lock) {
		list_for_each_entry(member, &rtshm_members, list)
			if (uid_eq(member->uid, uid))
				break;
		if (list_entry_is_head(member, &rtshm_members, list))
			member = new;
		err = rtshm_member_use(member, RTSHM_QUOTA_REGIONS, 1, "name", extack);
		if (!err && member == new) {
			list_add(&new->list, &rtshm_members);
			new = NULL;
		}
	}
	kfree(new);
	return err ? ERR_PTR(err) : member;
}

/* The region is gone, and nothing of it counts any more. */
void rtshm_member_leave(struct rtshm_member *member)
{
	if (!member)
		return;
	scoped_guard(mutex, &rtshm_members_lock) {
		if (--member->used[RTSHM_QUOTA_REGIONS])
			return;
		list_del(&member->list);
	}
	kfree(member);
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

/* Whether the member is this user. */
bool rtshm_member_is(const struct rtshm_member *member, kuid_t uid)
{
	return member && uid_eq(member->uid, uid);
}

/* The uid of the member, in the initial user namespace. */
u32 rtshm_member_uid(const struct rtshm_member *member)
{
	return from_kuid(&init_user_ns, member->uid);
}
