// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control plane: what a netlink message tells of a region.
 */

#include <linux/cred.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>

#include "netlink_message.h"
#include "rtshm.h"

/* The attribute that pads is the same one in each set. */
static_assert((int)RTSHM_A_REGION_PAD == (int)RTSHM_A_COUNTERS_PAD);
static_assert((int)RTSHM_A_REGION_PAD == (int)RTSHM_A_TASK_PAD);

static int rtshm_nl_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RTSHM_A_REGION_PAD);
}

static int rtshm_nl_fill_counters(struct sk_buff *skb, const struct rtshm_counters *now)
{
	struct nlattr *nest;

	nest = nla_nest_start(skb, RTSHM_A_REGION_COUNTERS);
	if (!nest ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_TICKS, now->ticks) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_MISSED, now->missed) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_PUBLISHED, now->published) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_LATENESS_MIN_NS, now->lateness_min_ns) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_LATENESS_MAX_NS, now->lateness_max_ns) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_COUNTERS_LATENESS_SUM_NS, now->lateness_sum_ns) ||
	    nla_put_64bit(skb, RTSHM_A_COUNTERS_LATENESS_HISTOGRAM,
			  sizeof(now->lateness_histogram), now->lateness_histogram,
			  RTSHM_A_COUNTERS_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* A nest for each, in the order of running. */
static int rtshm_nl_fill_tasks(struct sk_buff *skb, struct rtshm_region *region)
{
	struct rtshm_task *task, now;
	struct nlattr *nest;

	list_for_each_entry(task, &region->tasks, list) {
		scoped_guard(raw_spinlock_irq, &region->lock)
			now = *task;
		nest = nla_nest_start(skb, RTSHM_A_REGION_TASKS);
		if (!nest ||
		    nla_put_string(skb, RTSHM_A_TASK_NAME, now.name) ||
		    rtshm_nl_put_u64(skb, RTSHM_A_TASK_TICKS, now.ticks) ||
		    rtshm_nl_put_u64(skb, RTSHM_A_TASK_TIME_MAX_NS, now.time_max_ns) ||
		    rtshm_nl_put_u64(skb, RTSHM_A_TASK_OVERRUNS, now.overruns) ||
		    nla_put_u8(skb, RTSHM_A_TASK_STOPPED, now.stopped) ||
		    nla_put_u32(skb, RTSHM_A_TASK_RECORD_BYTES, now.layout_bytes) ||
		    (now.prog_id && nla_put_u32(skb, RTSHM_A_TASK_PROG_ID, now.prog_id)) ||
		    (now.insns_max &&
		     nla_put_u32(skb, RTSHM_A_TASK_INSNS_MAX, now.insns_max)))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

/* As in /proc/iomem, the address is for those who may use it. */
static int rtshm_nl_fill_phys(struct sk_buff *skb, const struct rtshm_config *config,
			      const struct sk_buff *asked)
{
	bool told = asked && netlink_capable(asked, CAP_SYS_RAWIO);

	if (rtshm_nl_put_u64(skb, RTSHM_A_REGION_PHYS, told ? config->phys : 0) ||
	    (config->keep && nla_put_flag(skb, RTSHM_A_REGION_KEEP)))
		return -EMSGSIZE;
	return 0;
}

/* What is in a region and what happens in it, for those who may read it. */
static int rtshm_nl_fill_inside(struct sk_buff *skb, struct rtshm_region *region,
				const struct rtshm_counters *counters)
{
	if (nla_put_string(skb, RTSHM_A_REGION_LAYOUT, region->config.layout))
		return -EMSGSIZE;
	return rtshm_nl_fill_counters(skb, counters) ?: rtshm_nl_fill_tasks(skb, region);
}

static int rtshm_nl_fill_region(struct sk_buff *skb, struct rtshm_region *region,
				const struct sk_buff *asked, bool inside)
{
	const struct rtshm_config *config = &region->config;
	struct rtshm_counters counters;
	struct rtshm_settings set;
	bool raw = config->phys != RTSHM_NONE;

	/* All as of one tick. */
	scoped_guard(raw_spinlock_irq, &region->lock) {
		set = region->config.set;
		counters = region->counters;
	}
	if (nla_put_string(skb, RTSHM_A_REGION_NAME, config->name) ||
	    nla_put_u32(skb, RTSHM_A_REGION_ID, region->id) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_SIZE, config->size) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_PERIOD_NS, set.period_ns) ||
	    nla_put_u8(skb, RTSHM_A_REGION_PRINT, set.print) ||
	    nla_put_u8(skb, RTSHM_A_REGION_CLOCK, config->clock) ||
	    (set.phase_ns != RTSHM_NONE &&
	     rtshm_nl_put_u64(skb, RTSHM_A_REGION_PHASE_NS, set.phase_ns)) ||
	    (config->start_ns != RTSHM_NONE &&
	     rtshm_nl_put_u64(skb, RTSHM_A_REGION_START_NS, config->start_ns)) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_LEAD_NS, set.lead_ns) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_CPU_LATENCY_NS, set.cpu_latency_ns) ||
	    rtshm_nl_put_u64(skb, RTSHM_A_REGION_TASK_BUDGET_NS, set.task_budget_ns) ||
	    nla_put_u32(skb, RTSHM_A_REGION_TASK_LONG_MAX, set.task_long_max) ||
	    nla_put_u32(skb, RTSHM_A_REGION_HISTORY, set.history) ||
	    nla_put_u32(skb, RTSHM_A_REGION_RECORD_BYTES, set.record_bytes) ||
	    nla_put_u32(skb, RTSHM_A_REGION_MODE, set.access.mode) ||
	    nla_put_u32(skb, RTSHM_A_REGION_UID, from_kuid(&init_user_ns, set.access.uid)) ||
	    nla_put_u32(skb, RTSHM_A_REGION_GID, from_kgid(&init_user_ns, set.access.gid)) ||
	    (set.cpu != RTSHM_CPU_ANY && nla_put_u32(skb, RTSHM_A_REGION_CPU, set.cpu)) ||
	    (region->periodic &&
	     nla_put_u32(skb, RTSHM_A_REGION_TIMER_CPU, READ_ONCE(region->cpu))) ||
	    nla_put_u32(skb, RTSHM_A_REGION_USERS, atomic_read(&region->users)) ||
	    (uid_valid(config->creator) &&
	     nla_put_u32(skb, RTSHM_A_REGION_CREATOR,
			 from_kuid(&init_user_ns, config->creator))) ||
	    (set.history &&
	     nla_put_u32(skb, RTSHM_A_REGION_SAMPLE_BYTES,
			 sizeof(struct rtshm_sample) + set.record_bytes)) ||
	    (raw && rtshm_nl_fill_phys(skb, config, asked)) ||
	    (!raw && !set.access.given &&
	     nla_put_flag(skb, RTSHM_A_REGION_ACCESS_DEFAULT)))
		return -EMSGSIZE;
	return inside ? rtshm_nl_fill_inside(skb, region, &counters) : 0;
}

/*
 * rtshm_regions_lock held. Puts a whole message about a region, or nothing and returns
 * an errno. @asked: the request, or NULL in a notification. @inside: with what only
 * those are told who may read the region.
 */
int rtshm_nl_message(struct sk_buff *skb, const struct genl_family *family,
		     struct rtshm_region *region, const struct sk_buff *asked, bool inside,
		     u32 seq, int flags, u8 cmd, struct netlink_callback *cb)
{
	void *header = genlmsg_put(skb, asked ? NETLINK_CB(asked).portid : 0, seq, family,
				   flags, cmd);

	if (!header)
		return -EMSGSIZE;
	if (cb)
		genl_dump_check_consistent(cb, header);
	if (rtshm_nl_fill_region(skb, region, asked, inside)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}
