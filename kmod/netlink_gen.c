// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	kmod/netlink/rtshm.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/rtshm_netlink.h>

/* RTSHM_CMD_REGION_GET - do */
const struct nla_policy rtshm_region_get_nl_policy[RTSHM_A_REGION_FD + 1] = {
	[RTSHM_A_REGION_NAME] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_REGION_FD] = { .type = NLA_U32, },
};

/* RTSHM_CMD_REGION_NEW - do */
const struct nla_policy rtshm_region_new_nl_policy[RTSHM_A_REGION_CPU_LATENCY_NS + 1] = {
	[RTSHM_A_REGION_NAME] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_REGION_SIZE] = { .type = NLA_U64, },
	[RTSHM_A_REGION_PERIOD_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_PRINT] = NLA_POLICY_MAX(NLA_U8, U8_MAX),
	[RTSHM_A_REGION_HISTORY] = { .type = NLA_U32, },
	[RTSHM_A_REGION_RECORD_BYTES] = { .type = NLA_U32, },
	[RTSHM_A_REGION_LAYOUT] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_REGION_MODE] = { .type = NLA_U32, },
	[RTSHM_A_REGION_UID] = { .type = NLA_U32, },
	[RTSHM_A_REGION_GID] = { .type = NLA_U32, },
	[RTSHM_A_REGION_CPU] = { .type = NLA_U32, },
	[RTSHM_A_REGION_CLOCK] = NLA_POLICY_MAX(NLA_U8, U8_MAX),
	[RTSHM_A_REGION_PHASE_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_START_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_TASK_BUDGET_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_TASK_LONG_MAX] = { .type = NLA_U32, },
	[RTSHM_A_REGION_PHYS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_KEEP] = { .type = NLA_FLAG, },
	[RTSHM_A_REGION_LEAD_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_CPU_LATENCY_NS] = { .type = NLA_U64, },
};

/* RTSHM_CMD_REGION_DEL - do */
const struct nla_policy rtshm_region_del_nl_policy[RTSHM_A_REGION_NAME + 1] = {
	[RTSHM_A_REGION_NAME] = { .type = NLA_NUL_STRING, },
};

/* RTSHM_CMD_REGION_SET - do */
const struct nla_policy rtshm_region_set_nl_policy[RTSHM_A_REGION_CPU_LATENCY_NS + 1] = {
	[RTSHM_A_REGION_NAME] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_REGION_PERIOD_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_PRINT] = NLA_POLICY_MAX(NLA_U8, U8_MAX),
	[RTSHM_A_REGION_HISTORY] = { .type = NLA_U32, },
	[RTSHM_A_REGION_RECORD_BYTES] = { .type = NLA_U32, },
	[RTSHM_A_REGION_MODE] = { .type = NLA_U32, },
	[RTSHM_A_REGION_UID] = { .type = NLA_U32, },
	[RTSHM_A_REGION_GID] = { .type = NLA_U32, },
	[RTSHM_A_REGION_CPU] = { .type = NLA_U32, },
	[RTSHM_A_REGION_PHASE_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_TASK_BUDGET_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_TASK_LONG_MAX] = { .type = NLA_U32, },
	[RTSHM_A_REGION_LEAD_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_CPU_LATENCY_NS] = { .type = NLA_U64, },
	[RTSHM_A_REGION_RESET_COUNTERS] = { .type = NLA_FLAG, },
};

/* RTSHM_CMD_TASK_NEW - do */
const struct nla_policy rtshm_task_new_nl_policy[RTSHM_A_TASK_REQUEST_UNBOUNDED + 1] = {
	[RTSHM_A_TASK_REQUEST_REGION] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_TASK_REQUEST_NAME] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_TASK_REQUEST_PROG_FD] = { .type = NLA_U32, },
	[RTSHM_A_TASK_REQUEST_UNBOUNDED] = { .type = NLA_FLAG, },
};

/* RTSHM_CMD_TASK_SET - do */
const struct nla_policy rtshm_task_set_nl_policy[RTSHM_A_TASK_REQUEST_UNBOUNDED + 1] = {
	[RTSHM_A_TASK_REQUEST_REGION] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_TASK_REQUEST_NAME] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_TASK_REQUEST_PROG_FD] = { .type = NLA_U32, },
	[RTSHM_A_TASK_REQUEST_UNBOUNDED] = { .type = NLA_FLAG, },
};

/* RTSHM_CMD_TASK_DEL - do */
const struct nla_policy rtshm_task_del_nl_policy[RTSHM_A_TASK_REQUEST_NAME + 1] = {
	[RTSHM_A_TASK_REQUEST_REGION] = { .type = NLA_NUL_STRING, },
	[RTSHM_A_TASK_REQUEST_NAME] = { .type = NLA_NUL_STRING, },
};

/* Ops table for rtshm */
const struct genl_ops rtshm_nl_ops[7] = {
	{
		.cmd		= RTSHM_CMD_REGION_GET,
		.doit		= rtshm_nl_region_get_doit,
		.dumpit		= rtshm_nl_region_get_dumpit,
		.policy		= rtshm_region_get_nl_policy,
		.maxattr	= RTSHM_A_REGION_FD,
	},
	{
		.cmd		= RTSHM_CMD_REGION_NEW,
		.doit		= rtshm_nl_region_new_doit,
		.policy		= rtshm_region_new_nl_policy,
		.maxattr	= RTSHM_A_REGION_CPU_LATENCY_NS,
	},
	{
		.cmd		= RTSHM_CMD_REGION_DEL,
		.doit		= rtshm_nl_region_del_doit,
		.policy		= rtshm_region_del_nl_policy,
		.maxattr	= RTSHM_A_REGION_NAME,
	},
	{
		.cmd		= RTSHM_CMD_REGION_SET,
		.doit		= rtshm_nl_region_set_doit,
		.policy		= rtshm_region_set_nl_policy,
		.maxattr	= RTSHM_A_REGION_CPU_LATENCY_NS,
	},
	{
		.cmd		= RTSHM_CMD_TASK_NEW,
		.doit		= rtshm_nl_task_new_doit,
		.policy		= rtshm_task_new_nl_policy,
		.maxattr	= RTSHM_A_TASK_REQUEST_UNBOUNDED,
	},
	{
		.cmd		= RTSHM_CMD_TASK_SET,
		.doit		= rtshm_nl_task_set_doit,
		.policy		= rtshm_task_set_nl_policy,
		.maxattr	= RTSHM_A_TASK_REQUEST_UNBOUNDED,
	},
	{
		.cmd		= RTSHM_CMD_TASK_DEL,
		.doit		= rtshm_nl_task_del_doit,
		.policy		= rtshm_task_del_nl_policy,
		.maxattr	= RTSHM_A_TASK_REQUEST_NAME,
	},
};

static const struct genl_multicast_group rtshm_nl_mcgrps[] = {
	[RTSHM_NLGRP_REGIONS] = { "regions", },
	[RTSHM_NLGRP_DETAILS] = { "details", },
};
