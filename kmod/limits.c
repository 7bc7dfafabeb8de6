// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a region may be by itself. The registry checks the limits on all regions.
 */

#include <linux/cpumask.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "rtshm.h"
#include "tick.h"

struct rtshm_limits rtshm_limits = {
	.period_min_ns = RTSHM_PERIOD_MIN_NS,
	.rate_max_hz = 125000,
	.bytes_max = 4ULL * SZ_1G,
	.regions_max = 256,
	.history_max = 65536,
	.group = RTSHM_GROUP_NONE,
	.group_regions = 8,
	.group_bytes = SZ_16M,
	.group_ticks_hz = 4000,
};

/* Has the answer to a request say why it was refused; returns @err. */
int rtshm_refuse(struct netlink_ext_ack *extack, int err, const char *format, ...)
{
	va_list args;

	if (extack) {
		va_start(args, format);
		vscnprintf(rtshm_extack_text(extack), NETLINK_MAX_FMTMSG_LEN, format, args);
		va_end(args);
		extack->_msg = rtshm_extack_text(extack);
	}
	return err;
}

bool rtshm_name_ok(const char *name)
{
	size_t length = strlen(name);

	return length && length <= RTSHM_NAME_MAX &&
	       name[0] != '_' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* Of a region or a task. */
int rtshm_name_check(const char *name, struct netlink_ext_ack *extack)
{
	if (rtshm_name_ok(name))
		return 0;
	return rtshm_refuse(extack, -EINVAL,
			    "name: give [a-z0-9][a-z0-9_-]*, at most %u characters",
			    RTSHM_NAME_MAX);
}

int rtshm_cpu_check(int cpu, struct netlink_ext_ack *extack)
{
	if (cpu == RTSHM_CPU_ANY || ((unsigned int)cpu < nr_cpu_ids && cpu_online(cpu)))
		return 0;
	return rtshm_refuse(extack, -ENODEV, "cpu: not online");
}

/* Checks config->set, but for the cpu, against the limits and the rest of the region. */
int rtshm_settings_check(const struct rtshm_config *config, struct netlink_ext_ack *extack)
{
	const struct rtshm_settings *set = &config->set;

	if ((set->period_ns || config->at_load) &&
	    (set->period_ns < rtshm_limits.period_min_ns || set->period_ns > RTSHM_PERIOD_MAX_NS))
		return rtshm_refuse(extack, -ERANGE,
				    "period-ns: give %llu (module parameter period_min_ns) to %llu",
				    rtshm_limits.period_min_ns, (u64)RTSHM_PERIOD_MAX_NS);
	if (!set->period_ns && (set->lead_ns || set->cpu_latency_ns ||
				set->phase_ns != RTSHM_NONE || config->start_ns != RTSHM_NONE))
		return rtshm_refuse(extack, -EINVAL,
				    "period-ns: lead, phase, start and cpu-latency need a period");
	if (set->lead_ns > min_t(u64, RTSHM_LEAD_MAX_NS, set->period_ns / 4))
		return rtshm_refuse(extack, -ERANGE,
				    "lead-ns: give at most %u, and a quarter of period-ns",
				    RTSHM_LEAD_MAX_NS);
	/* With interrupts off, such a clock may stand still while its cpu waits. */
	if (set->lead_ns && hrtimer_resolution > 1)
		return rtshm_refuse(extack, -EOPNOTSUPP,
				    "lead-ns: this kernel has no high-resolution timers");
	if (set->cpu_latency_ns > NSEC_PER_SEC)
		return rtshm_refuse(extack, -ERANGE, "cpu-latency-ns: give at most %lu",
				    NSEC_PER_SEC);
	if (set->task_budget_ns > RTSHM_PERIOD_MAX_NS)
		return rtshm_refuse(extack, -ERANGE, "task-budget-ns: give at most %llu",
				    (u64)RTSHM_PERIOD_MAX_NS);
	if (set->print > RTSHM_PRINT_MODE_CHANGES)
		return rtshm_refuse(extack, -EINVAL,
				    "print: give 0 (off), 1 (every-tick) or 2 (changes)");
	if (set->history > rtshm_limits.history_max)
		return rtshm_refuse(extack, -ERANGE,
				    "history: give at most %llu (module parameter history_max)",
				    rtshm_limits.history_max);
	if (!set->record_bytes || set->record_bytes % sizeof(u64) ||
	    set->record_bytes > min_t(u64, config->size, RTSHM_RECORD_BYTES_MAX))
		return rtshm_refuse(extack, -EINVAL,
				    "record-bytes: give a multiple of 8, at most %u and the size",
				    RTSHM_RECORD_BYTES_MAX);
	if (set->access.mode & ~0777)
		return rtshm_refuse(extack, -EINVAL, "mode: give at most 0777");
	if (!uid_valid(set->access.uid) || !gid_valid(set->access.gid))
		return rtshm_refuse(extack, -EINVAL, "%s: give at most 4294967294",
				    uid_valid(set->access.uid) ? "gid" : "uid");
	if (set->phase_ns == RTSHM_NONE)
		return 0;
	if (set->phase_ns >= set->period_ns)
		return rtshm_refuse(extack, -ERANGE, "phase-ns: give less than period-ns");
	if (config->start_ns != RTSHM_NONE)
		return rtshm_refuse(extack, -EINVAL, "start-ns: give it or phase-ns, not both");
	return 0;
}

static int rtshm_start_check(const struct rtshm_config *config, struct netlink_ext_ack *extack)
{
	u64 now_ns;

	if (config->clock > RTSHM_CLOCK_TAI)
		return rtshm_refuse(extack, -EINVAL,
				    "clock: give 0 (monotonic), 1 (realtime) or 2 (tai)");
	if (config->start_ns == RTSHM_NONE)
		return 0;
	now_ns = rtshm_clock_now(config->clock);
	if (config->start_ns <= now_ns || config->start_ns - now_ns > RTSHM_START_MAX_NS)
		return rtshm_refuse(extack, -ERANGE,
				    "start-ns: must be in the future on that clock, at most one day ahead");
	return 0;
}

/* Checks where the memory is; the size is within its limits. */
static int rtshm_phys_check(const struct rtshm_config *config, struct netlink_ext_ack *extack)
{
	bool beyond;

	if (config->phys == RTSHM_NONE)
		return !config->keep ? 0 : rtshm_refuse(extack, -EINVAL,
				"keep: give it with phys; other memory has nothing to keep");
	/* Written so that nothing wraps. */
	beyond = config->phys > iomem_resource.end ||
		 config->size - 1 > iomem_resource.end - config->phys;
	if (beyond || !PAGE_ALIGNED(config->phys))
		return rtshm_refuse(extack, beyond ? -ERANGE : -EINVAL,
				    "phys: give a multiple of %lu, its end with the size at most 0x%llx",
				    PAGE_SIZE, (u64)iomem_resource.end);
	return 0;
}

/* Checks all of a new region: 0 or an errno. */
int rtshm_config_check(const struct rtshm_config *config, struct netlink_ext_ack *extack)
{
	bool beyond = config->size < PAGE_SIZE || config->size > RTSHM_SIZE_MAX;
	int err;

	err = rtshm_name_check(config->name, extack);
	if (err)
		return err;
	if (beyond || !PAGE_ALIGNED(config->size))
		return rtshm_refuse(extack, beyond ? -ERANGE : -EINVAL,
				    "size: give %lu to %u bytes, a multiple of %lu",
				    PAGE_SIZE, RTSHM_SIZE_MAX, PAGE_SIZE);
	err = rtshm_phys_check(config, extack);
	if (err)
		return err;
	if (strlen(config->layout) > RTSHM_LAYOUT_MAX)
		return rtshm_refuse(extack, -ERANGE, "layout: give at most %u bytes",
				    RTSHM_LAYOUT_MAX);
	err = rtshm_cpu_check(config->set.cpu, extack);
	if (err)
		return err;
	err = rtshm_settings_check(config, extack);
	return err ?: rtshm_start_check(config, extack);
}

/* Sets everything but the name to its default. */
void rtshm_config_init(struct rtshm_config *config, const char *name)
{
	*config = (struct rtshm_config) {
		.layout = "",
		.size = PAGE_SIZE,
		.start_ns = RTSHM_NONE,
		.phys = RTSHM_NONE,
		.creator = INVALID_UID,
		.set.period_ns = RTSHM_PERIOD_DEFAULT_NS,
		.set.phase_ns = RTSHM_NONE,
		.set.record_bytes = sizeof(struct rtshm_word),
		.set.task_long_max = RTSHM_TASK_LONG_DEFAULT,
		.set.cpu = RTSHM_CPU_ANY,
		.set.access.mode = RTSHM_MODE_DEFAULT,
		.set.access.uid = GLOBAL_ROOT_UID,
		.set.access.gid = GLOBAL_ROOT_GID,
	};
	strscpy(config->name, name, sizeof(config->name));
}
