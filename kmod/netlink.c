// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control plane: the generic netlink family of netlink/rtshm.yaml.
 *
 * Its operations run in parallel, in the context of whoever asks; all of them
 * hold rtshm_regions_lock while they look at regions, and none while they make or
 * stop one. Notifications are sent under it too, so that they come in the order of
 * what they tell.
 */

#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/security.h>
#include <linux/user_namespace.h>

#include "netlink_gen.h"
#include "rtshm.h"

static struct genl_family rtshm_nl_family;

/*
 * From when the module can no longer fail to load until it goes: under
 * rtshm_regions_lock.
 */
static bool rtshm_nl_up;

/* The text of a string attribute, NULL if more follows its end. */
static const char *rtshm_nl_text(const struct nlattr *attr)
{
	const char *text = nla_data(attr);

	return strlen(text) + 1 == nla_len(attr) ? text : NULL;
}

static const char *rtshm_nl_name(struct genl_info *info)
{
	struct nlattr *attr = info->attrs[RTSHM_A_REGION_NAME];

	if (!attr) {
		GENL_SET_ERR_MSG(info, "name: missing");
		return NULL;
	}
	/* No region is named so, and none will be. */
	return rtshm_nl_text(attr) ?: "";
}

/* rtshm_regions_lock held. @find: rtshm_region_look() or rtshm_region_find(). */
static struct rtshm_region *
rtshm_nl_find(struct genl_info *info, struct rtshm_region *(*find)(const char *name))
{
	const char *name = rtshm_nl_name(info);
	struct rtshm_region *region;

	if (!name)
		return ERR_PTR(-EINVAL);
	region = find(name);
	if (!region) {
		GENL_SET_ERR_MSG(info, "name: there is no such region");
		return ERR_PTR(-ENOENT);
	}
	return region;
}

static int rtshm_nl_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RTSHM_A_REGION_PAD);
}

static int rtshm_nl_put_counter(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RTSHM_A_COUNTERS_PAD);
}

static int rtshm_nl_fill_counters(struct sk_buff *skb, struct rtshm_region *region)
{
	struct rtshm_counters counters;
	struct nlattr *nest;

	rtshm_tick_counters(region, &counters);
	nest = nla_nest_start(skb, RTSHM_A_REGION_COUNTERS);
	if (!nest ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_TICKS, counters.ticks) ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_MISSED, counters.missed) ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_PUBLISHED,
				 counters.published) ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_LATENESS_MIN_NS,
				 counters.lateness_min_ns) ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_LATENESS_MAX_NS,
				 counters.lateness_max_ns) ||
	    rtshm_nl_put_counter(skb, RTSHM_A_COUNTERS_LATENESS_SUM_NS,
				 counters.lateness_sum_ns) ||
	    nla_put_64bit(skb, RTSHM_A_COUNTERS_LATENESS_HISTOGRAM,
			  sizeof(counters.lateness_histogram),
			  counters.lateness_histogram, RTSHM_A_COUNTERS_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int rtshm_nl_put_task_counter(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RTSHM_A_TASK_PAD);
}

/* A nest for each, in the order of running. */
static int rtshm_nl_fill_tasks(struct sk_buff *skb, struct rtshm_region *region)
{
	struct rtshm_task_counters counters;
	struct rtshm_task *task;
	struct nlattr *nest;

	list_for_each_entry(task, &region->tasks, list) {
		rtshm_task_counters(region, task, &counters);
		nest = nla_nest_start(skb, RTSHM_A_REGION_TASKS);
		if (!nest ||
		    nla_put_string(skb, RTSHM_A_TASK_NAME, task->name) ||
		    rtshm_nl_put_task_counter(skb, RTSHM_A_TASK_TICKS,
					      counters.ticks) ||
		    rtshm_nl_put_task_counter(skb, RTSHM_A_TASK_TIME_MAX_NS,
					      counters.time_max_ns) ||
		    rtshm_nl_put_task_counter(skb, RTSHM_A_TASK_OVERRUNS,
					      counters.overruns) ||
		    nla_put_u8(skb, RTSHM_A_TASK_STOPPED, counters.stopped))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

/* As /proc/iomem has it, which address this is, is for those who may use it. */
static int rtshm_nl_fill_phys(struct sk_buff *skb, const struct rtshm_phys *phys,
			      const struct sk_buff *asked)
{
	bool told = asked && netlink_capable(asked, CAP_SYS_RAWIO);

	if (rtshm_nl_put_u64(skb, RTSHM_A_REGION_PHYS, told ? phys->start : 0) ||
	    (phys->keep && nla_put_flag(skb, RTSHM_A_REGION_KEEP)))
		return -EMSGSIZE;
	return 0;
}

static int rtshm_nl_fill_region(struct sk_buff *skb, struct rtshm_region *region,
				const struct sk_buff *asked)
{
	if (nla_put_string(skb, RTSHM_A_REGION_NAME, rtshm_name(region)) ||
	    nla_put_u32(skb, RTSHM_A_REGION_ID, region->id) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_SIZE, region->size) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_PERIOD_NS, region->period_ns) ||
	    nla_put_u8(skb, RTSHM_A_REGION_PRINT, region->print) ||
	    nla_put_u8(skb, RTSHM_A_REGION_CLOCK, region->clock) ||
	    (region->phase_ns != RTSHM_NONE &&
	     rtshm_nl_put_u64(skb, RTSHM_A_REGION_PHASE_NS, region->phase_ns)) ||
	    (region->start_ns != RTSHM_NONE &&
	     rtshm_nl_put_u64(skb, RTSHM_A_REGION_START_NS, region->start_ns)) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_LEAD_NS, region->lead_ns) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_TASK_BUDGET_NS,
			     region->task_budget_ns) ||
	    nla_put_u32(skb, RTSHM_A_REGION_TASK_LONG_MAX,
			region->task_long_max) ||
	    nla_put_u32(skb, RTSHM_A_REGION_RECORD_DEPTH, region->record_depth) ||
	    nla_put_u32(skb, RTSHM_A_REGION_RECORD_BYTES, region->record_bytes) ||
	    nla_put_string(skb, RTSHM_A_REGION_LAYOUT, region->layout) ||
	    nla_put_u32(skb, RTSHM_A_REGION_MODE, region->mode) ||
	    nla_put_u32(skb, RTSHM_A_REGION_UID,
			from_kuid(&init_user_ns, region->uid)) ||
	    nla_put_u32(skb, RTSHM_A_REGION_GID,
			from_kgid(&init_user_ns, region->gid)) ||
	    (region->cpu != RTSHM_CPU_ANY &&
	     nla_put_u32(skb, RTSHM_A_REGION_CPU, region->cpu)) ||
	    nla_put_u32(skb, RTSHM_A_REGION_USERS, atomic_read(&region->users)) ||
	    (region->record_depth &&
	     nla_put_u32(skb, RTSHM_A_REGION_SAMPLE_BYTES,
			 sizeof(struct rtshm_sample) + region->record_bytes)) ||
	    (region->phys && rtshm_nl_fill_phys(skb, region->phys, asked)) ||
	    (region->access_default &&
	     nla_put_flag(skb, RTSHM_A_REGION_ACCESS_DEFAULT)))
		return -EMSGSIZE;
	return rtshm_nl_fill_counters(skb, region) ?:
	       rtshm_nl_fill_tasks(skb, region);
}

/*
 * A whole message about a region, or nothing of it and an errno; for who asked,
 * or with NULL for everybody.
 */
static int rtshm_nl_fill(struct sk_buff *skb, struct rtshm_region *region,
			 const struct sk_buff *asked, u32 seq, int flags, u8 cmd,
			 struct netlink_callback *cb)
{
	void *header;

	header = genlmsg_put(skb, asked ? NETLINK_CB(asked).portid : 0, seq,
			     &rtshm_nl_family, flags, cmd);
	if (!header)
		return -EMSGSIZE;
	if (cb)
		genl_dump_check_consistent(cb, header);
	if (rtshm_nl_fill_region(skb, region, asked)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

/* Before the notification: a client may have one socket for both. */
static void rtshm_nl_reply(struct sk_buff *reply, struct rtshm_region *region,
			   const struct sk_buff *asked, struct genl_info *info)
{
	/* The largest message fits a fresh buffer. */
	if (WARN_ON_ONCE(rtshm_nl_fill(reply, region, asked, info->snd_seq, 0,
				       info->genlhdr->cmd, NULL))) {
		nlmsg_free(reply);
		return;
	}
	/* What was asked for is done, whether the reply finds room or not. */
	genlmsg_reply(reply, info);
}

/* rtshm_regions_lock held. Who cannot be told is told that something was lost. */
static void rtshm_nl_notify(struct rtshm_region *region, u8 cmd)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&rtshm_nl_family, &init_net, RTSHM_NLGRP_REGIONS))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb || rtshm_nl_fill(skb, region, NULL, 0, 0, cmd, NULL)) {
		nlmsg_free(skb);
		genl_set_err(&rtshm_nl_family, &init_net, 0, RTSHM_NLGRP_REGIONS,
			     -ENOBUFS);
		return;
	}
	genlmsg_multicast(&rtshm_nl_family, skb, 0, RTSHM_NLGRP_REGIONS,
			  GFP_KERNEL);
}

/*
 * rtshm_regions_lock held. For changes that do not come by netlink, and so may
 * come after the family is gone.
 */
void rtshm_netlink_changed(struct rtshm_region *region)
{
	lockdep_assert_held(&rtshm_regions_lock);
	if (rtshm_nl_up)
		rtshm_nl_notify(region, RTSHM_CMD_REGION_SET_NTF);
}

int rtshm_nl_region_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_region *region;
	struct sk_buff *reply;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;

	guard(mutex)(&rtshm_regions_lock);
	region = rtshm_nl_find(info, rtshm_region_look);
	if (IS_ERR(region)) {
		nlmsg_free(reply);
		return PTR_ERR(region);
	}
	rtshm_nl_reply(reply, region, skb, info);
	return 0;
}

/*
 * The list is in the order of ids. args[0] is the last one given, args[1] the
 * last one that was there at the beginning: however fast regions come, a dump
 * has an end.
 */
int rtshm_nl_region_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct rtshm_region *region;

	guard(mutex)(&rtshm_regions_lock);
	cb->seq = rtshm_generation;
	if (!cb->args[1] && !list_empty(&rtshm_regions))
		cb->args[1] = list_last_entry(&rtshm_regions, struct rtshm_region,
					      list)->id;
	list_for_each_entry(region, &rtshm_regions, list) {
		if (region->id <= cb->args[0] || !region->visible)
			continue;
		if (region->id > cb->args[1])
			break;
		if (rtshm_nl_fill(skb, region, cb->skb, cb->nlh->nlmsg_seq,
				  NLM_F_MULTI, RTSHM_CMD_REGION_GET, cb))
			break;
		cb->args[0] = region->id;
	}
	return skb->len;
}

/* The attributes that region-new and region-set share. */
static void rtshm_nl_settings(struct rtshm_config *config, struct nlattr **attrs)
{
	if (attrs[RTSHM_A_REGION_PERIOD_NS])
		config->period_ns = nla_get_u64(attrs[RTSHM_A_REGION_PERIOD_NS]);
	if (attrs[RTSHM_A_REGION_TASK_BUDGET_NS])
		config->task_budget_ns =
			nla_get_u64(attrs[RTSHM_A_REGION_TASK_BUDGET_NS]);
	if (attrs[RTSHM_A_REGION_TASK_LONG_MAX])
		config->task_long_max =
			nla_get_u32(attrs[RTSHM_A_REGION_TASK_LONG_MAX]);
	if (attrs[RTSHM_A_REGION_PRINT])
		config->print = nla_get_u8(attrs[RTSHM_A_REGION_PRINT]);
	if (attrs[RTSHM_A_REGION_RECORD_DEPTH])
		config->record_depth =
			nla_get_u32(attrs[RTSHM_A_REGION_RECORD_DEPTH]);
	if (attrs[RTSHM_A_REGION_RECORD_BYTES])
		config->record_bytes =
			nla_get_u32(attrs[RTSHM_A_REGION_RECORD_BYTES]);
}

/* Never RTSHM_NONE, which is above any limit, as is the number below it. */
static u64 rtshm_nl_given(const struct nlattr *attr)
{
	return min_t(u64, RTSHM_NONE - 1, nla_get_u64(attr));
}

/*
 * The memory may be a device's or the firmware's. So to take it is no less than
 * to open /dev/mem, and refused to the same: netlink_capable() asks, too, who
 * opened the socket.
 */
static int rtshm_nl_phys(struct rtshm_config *config, const struct sk_buff *skb,
			 struct genl_info *info)
{
	int err;

	if (!netlink_capable(skb, CAP_SYS_RAWIO)) {
		GENL_SET_ERR_MSG(info,
				 "phys: this takes CAP_SYS_RAWIO in the initial user namespace");
		return -EPERM;
	}
	err = security_locked_down(LOCKDOWN_DEV_MEM);
	if (err) {
		GENL_SET_ERR_MSG(info,
				 "phys: the kernel is locked down: see kernel_lockdown(7)");
		return err;
	}
	config->phys = rtshm_nl_given(info->attrs[RTSHM_A_REGION_PHYS]);
	return 0;
}

/* The attributes of region-new alone; limits are the registry's. */
static int rtshm_nl_config(struct rtshm_config *config, const struct sk_buff *skb,
			   struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;

	if (attrs[RTSHM_A_REGION_SIZE])
		config->size = nla_get_u64(attrs[RTSHM_A_REGION_SIZE]);
	if (attrs[RTSHM_A_REGION_LAYOUT]) {
		config->layout = rtshm_nl_text(attrs[RTSHM_A_REGION_LAYOUT]);
		if (!config->layout) {
			GENL_SET_ERR_MSG(info, "layout: give nothing after its end");
			return -EINVAL;
		}
	}
	if (attrs[RTSHM_A_REGION_MODE]) {
		u32 mode = nla_get_u32(attrs[RTSHM_A_REGION_MODE]);

		if (mode & ~0777) {
			GENL_SET_ERR_MSG(info, "mode: give at most 0777");
			return -EINVAL;
		}
		config->mode = mode;
	}
	if (attrs[RTSHM_A_REGION_UID]) {
		config->uid = make_kuid(&init_user_ns,
					nla_get_u32(attrs[RTSHM_A_REGION_UID]));
		if (!uid_valid(config->uid)) {
			GENL_SET_ERR_MSG(info, "uid: give at most 4294967294");
			return -EINVAL;
		}
	}
	if (attrs[RTSHM_A_REGION_GID]) {
		config->gid = make_kgid(&init_user_ns,
					nla_get_u32(attrs[RTSHM_A_REGION_GID]));
		if (!gid_valid(config->gid)) {
			GENL_SET_ERR_MSG(info, "gid: give at most 4294967294");
			return -EINVAL;
		}
	}
	config->access_given = attrs[RTSHM_A_REGION_MODE] ||
			       attrs[RTSHM_A_REGION_UID] ||
			       attrs[RTSHM_A_REGION_GID];
	if (attrs[RTSHM_A_REGION_CPU])
		/* Too large for any is as good as one too many. */
		config->cpu = min_t(u32, nr_cpu_ids,
				    nla_get_u32(attrs[RTSHM_A_REGION_CPU]));
	if (attrs[RTSHM_A_REGION_CLOCK])
		config->clock = nla_get_u8(attrs[RTSHM_A_REGION_CLOCK]);
	if (attrs[RTSHM_A_REGION_PHASE_NS])
		config->phase_ns = rtshm_nl_given(attrs[RTSHM_A_REGION_PHASE_NS]);
	if (attrs[RTSHM_A_REGION_START_NS])
		config->start_ns = rtshm_nl_given(attrs[RTSHM_A_REGION_START_NS]);
	if (attrs[RTSHM_A_REGION_LEAD_NS])
		config->lead_ns = nla_get_u64(attrs[RTSHM_A_REGION_LEAD_NS]);
	config->keep = nla_get_flag(attrs[RTSHM_A_REGION_KEEP]);
	rtshm_nl_settings(config, attrs);
	return attrs[RTSHM_A_REGION_PHYS] ? rtshm_nl_phys(config, skb, info) : 0;
}

int rtshm_nl_region_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = rtshm_nl_name(info);
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
	scoped_guard(mutex, &rtshm_regions_lock)
		err = rtshm_nl_up ? 0 : -EBUSY;
	if (err) {
		GENL_SET_ERR_MSG(info, "the module is being loaded or unloaded");
		return err;
	}
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	region = rtshm_region_make(&config, info->extack);
	if (IS_ERR(region)) {
		nlmsg_free(reply);
		return PTR_ERR(region);
	}
	guard(mutex)(&rtshm_regions_lock);
	rtshm_region_insert(region);
	rtshm_nl_reply(reply, region, skb, info);
	rtshm_nl_notify(region, RTSHM_CMD_REGION_NEW_NTF);
	return 0;
}

int rtshm_nl_region_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_region *region;

	scoped_guard(mutex, &rtshm_regions_lock) {
		region = rtshm_nl_find(info, rtshm_region_find);
		if (IS_ERR(region))
			return PTR_ERR(region);
		rtshm_region_withdraw(region);
	}
	rtshm_region_stop(region);
	scoped_guard(mutex, &rtshm_regions_lock) {
		rtshm_region_remove(region);
		rtshm_nl_notify(region, RTSHM_CMD_REGION_DEL_NTF);
	}
	rtshm_region_put(region);
	return 0;
}

/*
 * One attempt: 0 or an errno. On -EAGAIN @config is what a ring is to be made for;
 * the region may be another one, or have changed, at the next attempt.
 */
static int rtshm_nl_change(struct rtshm_config *config, struct rtshm_ring **ring,
			   struct sk_buff *reply, struct sk_buff *skb,
			   struct genl_info *info)
{
	struct rtshm_region *region;
	int err;

	guard(mutex)(&rtshm_regions_lock);
	region = rtshm_nl_find(info, rtshm_region_find);
	if (IS_ERR(region))
		return PTR_ERR(region);
	rtshm_settings_of(config, region);
	rtshm_nl_settings(config, info->attrs);
	err = rtshm_region_change(region, config, ring, info->extack);
	if (err < 0)
		return err;
	rtshm_nl_reply(reply, region, skb, info);
	if (err)
		rtshm_nl_notify(region, RTSHM_CMD_REGION_SET_NTF);
	return 0;
}

int rtshm_nl_region_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_ring *ring = NULL;
	struct rtshm_config config;
	struct sk_buff *reply;
	int err;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;

	while ((err = rtshm_nl_change(&config, &ring, reply, skb, info)) == -EAGAIN) {
		rtshm_ring_free(ring);
		ring = rtshm_ring_get(&config, info->extack);
		if (IS_ERR(ring)) {
			err = PTR_ERR(ring);
			ring = NULL;
			break;
		}
	}
	rtshm_ring_free(ring);
	if (err)
		nlmsg_free(reply);
	return err;
}

/*
 * Whatever does not only ask takes the privilege: an operation that is added
 * takes it unless it is named here. GENL_ADMIN_PERM would refuse without a word.
 * Dumps do not come by here: one that is added must only ask.
 */
static int rtshm_nl_pre_doit(rtshm_doit_ops *ops, struct sk_buff *skb,
			     struct genl_info *info)
{
	if (ops->cmd == RTSHM_CMD_REGION_GET || netlink_capable(skb, CAP_NET_ADMIN))
		return 0;
	GENL_SET_ERR_MSG(info,
			 "this takes CAP_NET_ADMIN in the initial user namespace");
	return -EPERM;
}

static const struct genl_multicast_group rtshm_nl_groups[] = {
	[RTSHM_NLGRP_REGIONS] = { .name = RTSHM_MCGRP_REGIONS },
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
	rtshm_nl_up = true;
}

void rtshm_netlink_exit(void)
{
	scoped_guard(mutex, &rtshm_regions_lock)
		rtshm_nl_up = false;
	genl_unregister_family(&rtshm_nl_family);
}
