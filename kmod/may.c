// SPDX-License-Identifier: GPL-2.0-only
/*
 * Permission to create, change, delete and read a region.
 *
 * The module parameter `group` names a group whose members make regions without
 * CAP_SYS_RESOURCE, up to quotas. A member is in the list while a region of the user
 * exists, including deleted ones that are in use. Memory counts until it is freed, ticks
 * until the region stops.
 *
 * The functions that take a netlink request are called in the context of who sends it.
 */

#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "may.h"
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

/*
 * Whether a request may use memory and interrupt time up to the limits of all regions.
 * CAP_SYS_RESOURCE overrides limits on both: see setrlimit(2) and, for periodic
 * interrupts, the RTC's. netlink_capable() looks at who opened the socket, too.
 */
bool rtshm_may_all(const struct sk_buff *skb)
{
	return netlink_capable(skb, CAP_SYS_RESOURCE);
}

/* The credentials with which the socket was opened that a request was sent from. */
static const struct cred *rtshm_opener(const struct sk_buff *skb)
{
	return NETLINK_CB(skb).sk->sk_socket->file->f_cred;
}

/*
 * Returns the user who sent a request as a member of the group, or INVALID_UID. As for
 * netlink_capable(), both count, who opened the socket and who sends: otherwise a
 * set-uid or set-gid program could be made to send requests by writing to the socket.
 * Other user namespaces do not count: there, one user has many uids, and each would
 * have quotas.
 */
static kuid_t rtshm_may_member(const struct sk_buff *skb)
{
	const struct cred *opener = rtshm_opener(skb);
	kgid_t group = make_kgid(&init_user_ns, rtshm_limits.group);
	const struct cred *sender;
	bool member;

	if (!gid_valid(group) || !in_group_p(group) ||
	    !uid_eq(opener->fsuid, current_fsuid()) || current_user_ns() != &init_user_ns)
		return INVALID_UID;
	sender = override_creds(opener);
	member = in_group_p(group);
	revert_creds(sender);
	return member ? current_fsuid() : INVALID_UID;
}

/* Whether a request may make, change or delete anything, @delegated or not: 0 or -EPERM. */
int rtshm_may_ask(const struct sk_buff *skb, bool delegated, struct netlink_ext_ack *extack)
{
	if (rtshm_may_all(skb) || (delegated && uid_valid(rtshm_may_member(skb))))
		return 0;
	if (!delegated || rtshm_limits.group == RTSHM_GROUP_NONE)
		return rtshm_refuse(extack, -EPERM,
				    "this takes CAP_SYS_RESOURCE in the initial user namespace");
	return rtshm_refuse(extack, -EPERM,
			    "this takes CAP_SYS_RESOURCE or group %llu (module parameter group)",
			    rtshm_limits.group);
}

/* Whether a request may change, delete and look into a region. */
bool rtshm_may_change(const struct sk_buff *skb, const struct rtshm_region *region)
{
	kuid_t creator = region->config.creator;

	return (uid_valid(creator) && uid_eq(creator, rtshm_may_member(skb))) ||
	       rtshm_may_all(skb);
}

/*
 * Whether a request comes with a descriptor of the region's node that is open for
 * reading: open() has decided then who may read. config.mode has not, since udev and
 * chmod(1) change the node. The sender must have opened the socket, which the answer
 * goes to.
 */
bool rtshm_may_read(const struct sk_buff *skb, const struct nlattr *fd,
		    const struct rtshm_region *region)
{
	struct file *file;
	bool may;

	if (!fd || !uid_eq(rtshm_opener(skb)->fsuid, current_fsuid()))
		return false;
	file = fget(nla_get_u32(fd));
	if (!file)
		return false;
	may = file->f_op == &rtshm_state_fops && file->private_data == region &&
	      file->f_mode & FMODE_READ;
	fput(file);
	return may;
}

/*
 * The memory may be a device's or the firmware's, so taking it needs what opening
 * /dev/mem does.
 */
static int rtshm_may_phys(const struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	int err;

	if (!netlink_capable(skb, CAP_SYS_RAWIO))
		return rtshm_refuse(extack, -EPERM,
				    "phys: this takes CAP_SYS_RAWIO in the initial user namespace");
	err = security_locked_down(LOCKDOWN_DEV_MEM);
	return !err ? 0 : rtshm_refuse(extack, err,
			"phys: the kernel is locked down: see kernel_lockdown(7)");
}

/*
 * Whether a request may change the settings of a region, or of a new one from their
 * defaults: 0 or -EPERM. CAP_SYS_NICE is for real-time scheduling and for affinities: a
 * lead keeps a cpu from processes of any priority, and a timer disturbs its cpu. What no
 * quota bounds takes the privilege: the log, tasks of other modules, the idle states of
 * a cpu.
 */
int rtshm_may_set(const struct sk_buff *skb, const struct rtshm_settings *set,
		  const struct rtshm_settings *before, struct netlink_ext_ack *extack)
{
	bool lead = set->lead_ns && (set->lead_ns != before->lead_ns ||
				     set->period_ns < before->period_ns);
	bool cpu = set->cpu != before->cpu && (unsigned int)set->cpu < nr_cpu_ids &&
		   !cpumask_test_cpu(set->cpu, &current->cpus_mask);

	if ((lead || cpu) && !netlink_capable(skb, CAP_SYS_NICE))
		return rtshm_refuse(extack, -EPERM, cpu ?
				    "cpu: outside your own affinity it takes CAP_SYS_NICE" :
				    "lead-ns: this takes CAP_SYS_NICE in the initial user namespace");
	if (rtshm_may_all(skb))
		return 0;
	if (set->print != before->print || set->task_budget_ns != before->task_budget_ns ||
	    set->task_long_max != before->task_long_max ||
	    set->cpu_latency_ns != before->cpu_latency_ns)
		return rtshm_refuse(extack, -EPERM,
				    "print, task-*, cpu-latency-ns: these take CAP_SYS_RESOURCE");
	if ((!uid_eq(set->access.uid, before->access.uid) &&
	     !uid_eq(set->access.uid, current_fsuid())) ||
	    (!gid_eq(set->access.gid, before->access.gid) && !in_group_p(set->access.gid)))
		return rtshm_refuse(extack, -EPERM,
				    "uid, gid: other than your own they take CAP_SYS_RESOURCE");
	return 0;
}

/* Whether a request may make a region, beyond rtshm_may_ask(): 0 or an errno. */
int rtshm_may_make(const struct sk_buff *skb, const struct rtshm_config *config,
		   const struct rtshm_settings *defaults, struct netlink_ext_ack *extack)
{
	int err = rtshm_may_set(skb, &config->set, defaults, extack);

	if (err || config->phys == RTSHM_NONE)
		return err;
	if (uid_valid(config->creator))
		return rtshm_refuse(extack, -EPERM, "phys: this takes CAP_SYS_RESOURCE");
	return rtshm_may_phys(skb, extack);
}
