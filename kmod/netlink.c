// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control plane: the requests of the generic netlink family of netlink/rtshm.yaml.
 *
 * Its operations run in parallel, in the context of the caller. Notifications are
 * sent under rtshm_regions_lock, in the order of what they tell.
 */

#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/user_namespace.h>

#include "may.h"
#include "netlink_gen.h"
#include "netlink_message.h"
#include "rtshm.h"

static struct genl_family rtshm_nl_family;

/*
 * From when loading can no longer fail until the module is unloaded. Stored under
 * rtshm_regions_lock; region-new looks without it, and unregistering waits for its end.
 */
static bool rtshm_nl_up;

/* Returns the text of a string attribute, NULL if more follows its end. */
static const char *rtshm_nl_text(const struct nlattr *attr)
{
	const char *text = nla_data(attr);

	return strlen(text) + 1 == nla_len(attr) ? text : NULL;
}

/*
 * Returns a name in a request: NULL if it is missing, "" if no region or task can have it.
 * @label: What messages call the attribute.
 */
const char *rtshm_nl_name(struct genl_info *info, int attr, const char *label)
{
	if (info->attrs[attr])
		return rtshm_nl_text(info->attrs[attr]) ?: "";
	rtshm_refuse(info->extack, 0, "%s: missing", label);
	return NULL;
}

/* Looks up the region that a request names, by rtshm_region_find() or _claim(). */
static struct rtshm_region *rtshm_nl_region(struct genl_info *info, int attr, const char *label,
					    struct rtshm_region *(*look)(const char *name))
{
	const char *name = rtshm_nl_name(info, attr, label);
	struct rtshm_region *region;

	if (!name)
		return ERR_PTR(-EINVAL);
	region = look(name);
	return region ?: ERR_PTR(rtshm_refuse(info->extack, -ENOENT, "%s: no such region", label));
}

/* rtshm_regions_lock held. What was asked for is done, if the reply has room or not. */
static void rtshm_nl_reply(struct sk_buff *reply, struct rtshm_region *region, bool inside,
			   const struct sk_buff *asked, struct genl_info *info)
{
	/* The largest message fits a fresh buffer. */
	if (WARN_ON_ONCE(rtshm_nl_message(reply, &rtshm_nl_family, region, asked,
					  inside, info->snd_seq, 0, info->genlhdr->cmd, NULL)))
		nlmsg_free(reply);
	else
		genlmsg_reply(reply, info);
}

/* If the event cannot be delivered, the listener gets ENOBUFS. */
static void rtshm_nl_multicast(struct rtshm_region *region, u8 cmd, unsigned int group)
{
	bool inside = group == RTSHM_NLGRP_DETAILS;
	struct sk_buff *skb;

	if (!genl_has_listeners(&rtshm_nl_family, &init_net, group))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb || rtshm_nl_message(skb, &rtshm_nl_family, region, NULL, inside, 0, 0, cmd,
				     NULL)) {
		nlmsg_free(skb);
		genl_set_err(&rtshm_nl_family, &init_net, 0, group, -ENOBUFS);
		return;
	}
	genlmsg_multicast(&rtshm_nl_family, skb, 0, group, GFP_KERNEL);
}

/* rtshm_regions_lock held. Tells dumps that are under way, and listeners, of a change. */
void rtshm_netlink_notify(struct rtshm_region *region, u8 cmd)
{
	lockdep_assert_held(&rtshm_regions_lock);
	rtshm_generation++;
	if (!rtshm_nl_up)
		return;
	rtshm_nl_multicast(region, cmd, RTSHM_NLGRP_REGIONS);
	rtshm_nl_multicast(region, cmd, RTSHM_NLGRP_DETAILS);
}

int rtshm_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_region *region;
	struct sk_buff *reply;
	bool inside;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	guard(mutex)(&rtshm_regions_lock);
	region = rtshm_nl_region(info, RTSHM_A_REGION_NAME, "name", rtshm_region_find);
	if (IS_ERR(region)) {
		nlmsg_free(reply);
		return PTR_ERR(region);
	}
	inside = rtshm_may_read(skb, info->attrs[RTSHM_A_REGION_FD], region) ||
		 rtshm_may_change(skb, region);
	rtshm_nl_reply(reply, region, inside, skb, info);
	return 0;
}

/*
 * The list is in the order of ids. args[0] is the last one given, args[1] the last
 * one in the list at the beginning: a dump ends however fast regions are made. What
 * fits one message is complete when the request returns, so that an unread
 * answer does not pin the module.
 */
int rtshm_nl_region_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct rtshm_region *region;

	guard(mutex)(&rtshm_regions_lock);
	cb->seq = rtshm_generation;
	if (!cb->args[1] && !list_empty(&rtshm_regions))
		cb->args[1] = list_last_entry(&rtshm_regions, struct rtshm_region, list)->id;
	list_for_each_entry(region, &rtshm_regions, list) {
		if (region->id <= cb->args[0] || !region->live)
			continue;
		if (region->id > cb->args[1])
			break;
		if (rtshm_nl_message(skb, &rtshm_nl_family, region, cb->skb,
				     rtshm_may_change(cb->skb, region),
				     cb->nlh->nlmsg_seq, NLM_F_MULTI,
				     RTSHM_CMD_REGION_GET, cb))
			return skb->len;
		cb->args[0] = region->id;
	}
	return 0;
}

/* Return what a request gives for an attribute, or what it was. */
static u64 rtshm_nl_u64(const struct nlattr *attr, u64 before)
{
	return attr ? nla_get_u64(attr) : before;
}

static u32 rtshm_nl_u32(const struct nlattr *attr, u32 before)
{
	return attr ? nla_get_u32(attr) : before;
}

static u8 rtshm_nl_u8(const struct nlattr *attr, u8 before)
{
	return attr ? nla_get_u8(attr) : before;
}

/* Keeps RTSHM_NONE from being asked for: one less is beyond any limit, too. */
static u64 rtshm_nl_given(const struct nlattr *attr, u64 before)
{
	return attr ? min_t(u64, RTSHM_NONE - 1, nla_get_u64(attr)) : before;
}

/* The attributes that region-new and region-set share. */
static void rtshm_nl_settings(struct rtshm_settings *set, struct nlattr **attrs)
{
	struct nlattr *mode = attrs[RTSHM_A_REGION_MODE];
	struct nlattr *uid = attrs[RTSHM_A_REGION_UID];
	struct nlattr *gid = attrs[RTSHM_A_REGION_GID];

	set->period_ns = rtshm_nl_u64(attrs[RTSHM_A_REGION_PERIOD_NS], set->period_ns);
	set->phase_ns = rtshm_nl_given(attrs[RTSHM_A_REGION_PHASE_NS], set->phase_ns);
	set->lead_ns = rtshm_nl_u64(attrs[RTSHM_A_REGION_LEAD_NS], set->lead_ns);
	set->cpu_latency_ns =
		rtshm_nl_u64(attrs[RTSHM_A_REGION_CPU_LATENCY_NS], set->cpu_latency_ns);
	set->task_budget_ns =
		rtshm_nl_u64(attrs[RTSHM_A_REGION_TASK_BUDGET_NS], set->task_budget_ns);
	set->task_long_max =
		rtshm_nl_u32(attrs[RTSHM_A_REGION_TASK_LONG_MAX], set->task_long_max);
	set->print = rtshm_nl_u8(attrs[RTSHM_A_REGION_PRINT], set->print);
	set->history =
		rtshm_nl_u32(attrs[RTSHM_A_REGION_HISTORY], set->history);
	set->record_bytes =
		rtshm_nl_u32(attrs[RTSHM_A_REGION_RECORD_BYTES], set->record_bytes);
	if (attrs[RTSHM_A_REGION_CPU])
		/* Too large for any is as good as one too many. */
		set->cpu = min_t(u32, nr_cpu_ids, nla_get_u32(attrs[RTSHM_A_REGION_CPU]));
	set->access.mode = rtshm_nl_u32(mode, set->access.mode);
	if (uid)
		set->access.uid = make_kuid(&init_user_ns, nla_get_u32(uid));
	if (gid)
		set->access.gid = make_kgid(&init_user_ns, nla_get_u32(gid));
	set->access.given |= mode || uid || gid;
}

/* The attributes of region-new; limits are checked in limits.c. */
static int rtshm_nl_config(struct rtshm_config *config, const struct sk_buff *skb,
			   struct genl_info *info)
{
	struct rtshm_settings defaults;
	struct nlattr **attrs = info->attrs;

	if (!rtshm_may_all(skb)) {
		config->creator = current_fsuid();
		config->set.access.given = true;
		config->set.access.uid = current_fsuid();
		config->set.access.gid = current_fsgid();
	}
	defaults = config->set;
	config->size = rtshm_nl_u64(attrs[RTSHM_A_REGION_SIZE], config->size);
	config->clock = rtshm_nl_u8(attrs[RTSHM_A_REGION_CLOCK], config->clock);
	if (attrs[RTSHM_A_REGION_LAYOUT])
		config->layout = rtshm_nl_text(attrs[RTSHM_A_REGION_LAYOUT]);
	if (!config->layout)
		return rtshm_refuse(info->extack, -EINVAL,
				    "layout: bytes after the terminating NUL");
	config->start_ns = rtshm_nl_given(attrs[RTSHM_A_REGION_START_NS], RTSHM_NONE);
	config->phys = rtshm_nl_given(attrs[RTSHM_A_REGION_PHYS], RTSHM_NONE);
	config->keep = nla_get_flag(attrs[RTSHM_A_REGION_KEEP]);
	rtshm_nl_settings(&config->set, attrs);
	return rtshm_may_make(skb, config, &defaults, info->extack);
}

int rtshm_nl_region_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = rtshm_nl_name(info, RTSHM_A_REGION_NAME, "name");
	struct rtshm_region *region;
	struct rtshm_config config;
	struct sk_buff *reply;
	int err;

	if (!name)
		return -EINVAL;
	rtshm_config_init(&config, name);
	err = rtshm_nl_config(&config, skb, info);
	if (err)
		return err;
	if (!READ_ONCE(rtshm_nl_up))
		return rtshm_refuse(info->extack, -EBUSY,
				    "the module is being loaded or unloaded");
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	region = rtshm_region_make(&config, info->extack);
	if (IS_ERR(region)) {
		nlmsg_free(reply);
		return PTR_ERR(region);
	}
	/* The reply first: a client may have one socket for both. */
	scoped_guard(mutex, &rtshm_regions_lock) {
		region->live = true;
		rtshm_nl_reply(reply, region, true, skb, info);
		rtshm_netlink_notify(region, RTSHM_CMD_REGION_NEW_NTF);
	}
	rtshm_region_announce(region, false);
	rtshm_region_unclaim(region);
	return 0;
}

/* Claims the region that a request names, if the request may change it. */
struct rtshm_region *rtshm_nl_claim(const struct sk_buff *skb, struct genl_info *info, int attr,
				    const char *label)
{
	struct rtshm_region *region = rtshm_nl_region(info, attr, label, rtshm_region_claim);

	if (IS_ERR(region) || rtshm_may_change(skb, region))
		return region;
	rtshm_region_unclaim(region);
	return ERR_PTR(rtshm_refuse(info->extack, -EPERM,
				    "%s: the region of another user takes CAP_SYS_RESOURCE",
				    label));
}

int rtshm_nl_region_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_region *region = rtshm_nl_claim(skb, info, RTSHM_A_REGION_NAME, "name");

	if (IS_ERR(region))
		return PTR_ERR(region);
	rtshm_region_remove(region);
	rtshm_region_unclaim(region);
	return 0;
}

int rtshm_nl_region_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_settings set;
	struct rtshm_region *region;
	struct sk_buff *reply;
	int err;

	region = rtshm_nl_claim(skb, info, RTSHM_A_REGION_NAME, "name");
	if (IS_ERR(region))
		return PTR_ERR(region);
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	set = region->config.set;
	rtshm_nl_settings(&set, info->attrs);
	err = reply ? rtshm_may_set(skb, &set, &region->config.set, info->extack) : -ENOMEM;
	if (!err)
		err = rtshm_region_change(region, &set,
					  nla_get_flag(info->attrs[RTSHM_A_REGION_RESET_COUNTERS]),
					  info->extack);
	if (err >= 0) {
		guard(mutex)(&rtshm_regions_lock);
		rtshm_nl_reply(reply, region, true, skb, info);
		if (err)
			rtshm_netlink_notify(region, RTSHM_CMD_REGION_SET_NTF);
	} else {
		nlmsg_free(reply);
	}
	rtshm_region_unclaim(region);
	return min(err, 0);
}

/*
 * All do-operations but region-get take the privilege, and those that are delegated the
 * privilege or the group. GENL_ADMIN_PERM would test for CAP_NET_ADMIN. Dumps do not
 * come by here, so a dump must only ask.
 */
static int rtshm_nl_pre_doit(rtshm_doit_ops *ops, struct sk_buff *skb,
			     struct genl_info *info)
{
	bool delegated = ops->cmd == RTSHM_CMD_REGION_NEW ||
			 ops->cmd == RTSHM_CMD_REGION_DEL ||
			 ops->cmd == RTSHM_CMD_REGION_SET;

	return ops->cmd == RTSHM_CMD_REGION_GET ? 0 : rtshm_may_ask(skb, delegated, info->extack);
}

static const struct genl_multicast_group rtshm_nl_groups[] = {
	[RTSHM_NLGRP_REGIONS] = { .name = RTSHM_MCGRP_REGIONS },
	/* With layout, counters and tasks. genetlink offers this and CAP_NET_ADMIN. */
	[RTSHM_NLGRP_DETAILS] = { .name = RTSHM_MCGRP_DETAILS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

/* netnsok is not set: regions belong to the machine, not to a namespace. */
static struct genl_family rtshm_nl_family __ro_after_init = {
	.name = RTSHM_FAMILY_NAME,
	.version = RTSHM_FAMILY_VERSION,
	.module = THIS_MODULE,
	.parallel_ops = true,
	.pre_doit = rtshm_nl_pre_doit,
	.ops = rtshm_nl_ops,
	.n_ops = ARRAY_SIZE(rtshm_nl_ops),
	.mcgrps = rtshm_nl_groups,
	.n_mcgrps = ARRAY_SIZE(rtshm_nl_groups),
};

int __init rtshm_netlink_init(void)
{
	return genl_register_family(&rtshm_nl_family);
}

/* rtshm_regions_lock held. */
void rtshm_netlink_open(void)
{
	WRITE_ONCE(rtshm_nl_up, true);	/* rtshm_nl_region_new_doit() */
}

void rtshm_netlink_exit(void)
{
	scoped_guard(mutex, &rtshm_regions_lock)
		WRITE_ONCE(rtshm_nl_up, false);
	genl_unregister_family(&rtshm_nl_family);
}
