// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control plane: the requests about the tasks of a region. Process context.
 */

#include "bpf.h"
#include "netlink_gen.h"
#include "netlink_message.h"
#include "rtshm.h"

/* Returns 0 if a request has an attribute that it must have. */
static int rtshm_nl_task_need(struct genl_info *info, int attr, const char *name)
{
	return info->attrs[attr] ? 0 :
	       rtshm_refuse(info->extack, -EINVAL, "%s: missing", name);
}

/* Claims the region of a request, which names a task too. */
static struct rtshm_region *rtshm_nl_task_region(struct genl_info *info, const char **name)
{
	struct rtshm_region *region;
	int err;

	err = rtshm_nl_task_need(info, RTSHM_A_TASK_REQUEST_REGION, "region") ?:
	      rtshm_nl_task_need(info, RTSHM_A_TASK_REQUEST_NAME, "name");
	if (err)
		return ERR_PTR(err);
	*name = rtshm_nl_text(info->attrs[RTSHM_A_TASK_REQUEST_NAME]) ?: "";
	region = rtshm_region_claim(rtshm_nl_text(info->attrs[RTSHM_A_TASK_REQUEST_REGION]) ?: "");
	if (!region)
		return ERR_PTR(rtshm_refuse(info->extack, -ENOENT,
					    "region: no such region"));
	return region;
}

/* Has the region of a request run the program that it gives, by rtshm_bpf_new() or _set(). */
static int rtshm_nl_task_prog(struct genl_info *info,
			      int (*run)(struct rtshm_region *region, const char *name, u32 fd,
					 bool unbounded, struct netlink_ext_ack *extack))
{
	struct rtshm_region *region;
	const char *name;
	int err;

	err = rtshm_nl_task_need(info, RTSHM_A_TASK_REQUEST_PROG_FD, "prog-fd");
	if (err)
		return err;
	region = rtshm_nl_task_region(info, &name);
	if (IS_ERR(region))
		return PTR_ERR(region);
	err = run(region, name, nla_get_u32(info->attrs[RTSHM_A_TASK_REQUEST_PROG_FD]),
		  nla_get_flag(info->attrs[RTSHM_A_TASK_REQUEST_UNBOUNDED]), info->extack);
	rtshm_region_unclaim(region);
	return err;
}

int rtshm_nl_task_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	return rtshm_nl_task_prog(info, rtshm_bpf_new);
}

int rtshm_nl_task_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	return rtshm_nl_task_prog(info, rtshm_bpf_set);
}

int rtshm_nl_task_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct rtshm_region *region;
	const char *name;
	int err;

	region = rtshm_nl_task_region(info, &name);
	if (IS_ERR(region))
		return PTR_ERR(region);
	err = rtshm_bpf_del(region, name, info->extack);
	rtshm_region_unclaim(region);
	return err;
}
