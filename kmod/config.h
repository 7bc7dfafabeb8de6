/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a region is asked to be, and the limits of it.
 */
#ifndef RTSHM_CONFIG_H
#define RTSHM_CONFIG_H

#include <linux/netlink.h>
#include <linux/rtshm_netlink.h>
#include <linux/types.h>
#include <linux/uidgid.h>

/* rtshm_settings.cpu: not given. */
#define RTSHM_CPU_ANY		(-1)

/* rtshm_settings.phase_ns, rtshm_config.start_ns and phys: not given. */
#define RTSHM_NONE		U64_MAX

/* The gid of no group. */
#define RTSHM_GROUP_NONE	((gid_t)-1)

/* Module parameters, constant once the module is loaded. */
struct rtshm_limits {
	u64			period_min_ns;
	u64			rate_max_hz;
	u64			bytes_max;
	u64			regions_max;
	u64			history_max;
	u64			group;		/* a gid, RTSHM_GROUP_NONE for nobody */
	u64			group_regions;	/* quotas of each member */
	u64			group_bytes;
	u64			group_ticks_hz;
};

/* Access to the nodes of a region. */
struct rtshm_access {
	u32			given;		/* bool: any of the others */
	u32			mode;
	kuid_t			uid;
	kgid_t			gid;
};

/* What can be changed of a live region. Compared as bytes, so without padding. */
struct rtshm_settings {
	u64			period_ns;
	u64			phase_ns;
	u64			lead_ns;	/* the timer expires before the tick is due */
	u64			cpu_latency_ns;	/* of the idle states of its cpu; 0: any */
	u64			task_budget_ns;
	u32			task_long_max;
	u32			history;
	u32			record_bytes;
	u32			print;		/* enum rtshm_print_mode */
	s32			cpu;
	s32			timer_cpu;	/* cpu, or the one that was chosen */
	struct rtshm_access	access;
};

static_assert(sizeof(struct rtshm_settings) == 5 * sizeof(u64) + 10 * sizeof(u32));

/* What a region is asked to be. */
struct rtshm_config {
	/* One character more than is allowed, so that a longer name is refused. */
	char			name[RTSHM_NAME_MAX + 2];
	const char		*layout;
	u64			size;
	u64			start_ns;
	u64			phys;
	kuid_t			creator;	/* of the group, or INVALID_UID */
	u8			clock;		/* enum rtshm_clock */
	bool			keep;
	bool			at_load;	/* the region that loading makes */
	struct rtshm_settings	set;
};

extern struct rtshm_limits rtshm_limits;

__printf(3, 4) int rtshm_refuse(struct netlink_ext_ack *extack, int err,
				const char *format, ...);
bool rtshm_name_ok(const char *name);
int rtshm_name_check(const char *name, struct netlink_ext_ack *extack);
int rtshm_cpu_check(int cpu, struct netlink_ext_ack *extack);
int rtshm_settings_check(const struct rtshm_config *config,
			 struct netlink_ext_ack *extack);
int rtshm_config_check(const struct rtshm_config *config, struct netlink_ext_ack *extack);
void rtshm_config_init(struct rtshm_config *config, const char *name);

#endif /* RTSHM_CONFIG_H */
