// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a region may be, each by itself, and what a refusal says.
 *
 * The limits are constant once the module is loaded, and so are the texts that
 * name them: netlink keeps a pointer to one until the answer is made.
 */

#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sizes.h>
#include <linux/stringify.h>

#include "rtshm.h"

struct rtshm_limits rtshm_limits = {
	.period_min_ns = RTSHM_PERIOD_MIN_NS,
	.rate_max_hz = 125000,
	.bytes_max = 4ULL * SZ_1G,
	.regions_max = 256,
	.depth_max = 65536,
};

/* Those with numbers of this load are formatted by rtshm_limits_init(). */
static char rtshm_texts[RTSHM_TEXTS][100] = {
	[RTSHM_TEXT_NAME] = "name: give [a-z0-9][a-z0-9_-]*, at most "
			    __stringify(RTSHM_NAME_MAX) " characters",
	[RTSHM_TEXT_EXISTS] = "name: there is such a region; one name, one region",
	[RTSHM_TEXT_MINORS] = "name: " __stringify(RTSHM_MINORS)
			      " nodes are there or still open",
	[RTSHM_TEXT_MEMORY] = "size: there is not so much free memory",
	[RTSHM_TEXT_RING_MEMORY] = "record-depth: there is not so much free memory",
	[RTSHM_TEXT_READERS] = "record-depth: somebody has the samples open",
	[RTSHM_TEXT_PRINT] = "print: give 0 (off), 1 (every-tick) or 2 (changes)",
	[RTSHM_TEXT_RECORD] = "record-bytes: give a multiple of 8, at most "
			      __stringify(RTSHM_RECORD_BYTES_MAX) " and the size",
	[RTSHM_TEXT_LAYOUT] = "layout: give at most "
			      __stringify(RTSHM_LAYOUT_MAX) " bytes",
	[RTSHM_TEXT_CPU] = "cpu: give one that is online",
	[RTSHM_TEXT_CLOCK] = "clock: give 0 (monotonic), 1 (realtime) or 2 (tai)",
	[RTSHM_TEXT_PHASE] = "phase-ns: give less than period-ns",
	[RTSHM_TEXT_PHASE_PERIOD] = "period-ns: a region with a phase keeps its period",
	[RTSHM_TEXT_START] = "start-ns: give it or phase-ns, not both",
	[RTSHM_TEXT_START_TIME] = "start-ns: give a time to come on its clock, a day ahead at most",
	[RTSHM_TEXT_LEAD] = "lead-ns: give at most 100000, and a quarter of period-ns",
	[RTSHM_TEXT_LEADS] = "lead-ns: the leads of all regions may come to 250 ms in a second",
	[RTSHM_TEXT_LEAD_CLOCK] = "lead-ns: this kernel's timers are not of high resolution",
	[RTSHM_TEXT_BUDGET] = "task-budget-ns: give at most 3600000000000",
	[RTSHM_TEXT_PHYS_RAM] =
		"phys: this is the kernel's own RAM; set some aside with memmap= at boot",
	[RTSHM_TEXT_PHYS_RESERVED] =
		"phys: not all of it is reserved; set memory aside with memmap= at boot",
	[RTSHM_TEXT_PHYS_REGION] =
		"phys: another region has it, or a deleted one that is still open",
	[RTSHM_TEXT_PHYS_BUSY] =
		"phys: a driver or a device has it, or its end is beyond a range of /proc/iomem",
	[RTSHM_TEXT_PHYS_CACHE] =
		"phys: somebody has it mapped uncached, as /dev/mem with O_SYNC, or it is no RAM",
	[RTSHM_TEXT_PHYS_ENCRYPTED] =
		"phys: this machine's memory is encrypted; boot with mem_encrypt=off",
	[RTSHM_TEXT_KEEP] =
		"keep: give it with phys; other memory has nothing to keep",
};

static __printf(2, 3) __init void rtshm_text(enum rtshm_text text,
					     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vscnprintf(rtshm_texts[text], sizeof(rtshm_texts[text]), format, args);
	va_end(args);
}

/* The module parameters have their values. */
void __init rtshm_limits_init(void)
{
	/* What is shorter, a clock of low resolution would round up in silence. */
	rtshm_limits.period_min_ns = max_t(u64, rtshm_limits.period_min_ns,
					   hrtimer_resolution);

	rtshm_text(RTSHM_TEXT_SIZE, "size: give %lu to %lu bytes, a multiple of %lu",
		   PAGE_SIZE, (unsigned long)RTSHM_SIZE_MAX, PAGE_SIZE);
	rtshm_text(RTSHM_TEXT_BYTES,
		   "size: all regions may have %llu bytes (module parameter bytes_max)",
		   rtshm_limits.bytes_max);
	rtshm_text(RTSHM_TEXT_RING_BYTES,
		   "record-depth: all regions and samples may have %llu bytes (module parameter bytes_max)",
		   rtshm_limits.bytes_max);
	rtshm_text(RTSHM_TEXT_PERIOD,
		   "period-ns: give %llu (module parameter period_min_ns) to %llu",
		   rtshm_limits.period_min_ns, (u64)RTSHM_PERIOD_MAX_NS);
	rtshm_text(RTSHM_TEXT_RATE,
		   "period-ns: all regions may tick %llu times a second (module parameter rate_max_hz)",
		   rtshm_limits.rate_max_hz);
	rtshm_text(RTSHM_TEXT_REGIONS,
		   "name: there may be %llu regions (module parameter regions_max)",
		   rtshm_limits.regions_max);
	rtshm_text(RTSHM_TEXT_PHYS,
		   "phys: give a multiple of %lu, its end with the size at most 0x%llx",
		   PAGE_SIZE, (u64)iomem_resource.end);
	rtshm_text(RTSHM_TEXT_DEPTH,
		   "record-depth: give at most %llu (module parameter depth_max)",
		   rtshm_limits.depth_max);
}

/* NL_SET_ERR_MSG() takes literals only. */
void rtshm_refuse(struct netlink_ext_ack *extack, enum rtshm_text text)
{
	if (extack)
		extack->_msg = rtshm_texts[text];
}

bool rtshm_name_ok(const char *name)
{
	size_t length = strlen(name);

	return length && length <= RTSHM_NAME_MAX &&
	       name[0] != '_' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* Of what may be changed later; size is the region's. */
int rtshm_settings_check(const struct rtshm_config *config, u64 size,
			 struct netlink_ext_ack *extack)
{
	if (config->period_ns < rtshm_limits.period_min_ns ||
	    config->period_ns > RTSHM_PERIOD_MAX_NS) {
		rtshm_refuse(extack, RTSHM_TEXT_PERIOD);
		return -ERANGE;
	}
	if (config->lead_ns > RTSHM_LEAD_MAX_NS ||
	    config->lead_ns > config->period_ns / 4) {
		rtshm_refuse(extack, RTSHM_TEXT_LEAD);
		return -ERANGE;
	}
	/* Its clock may be one that stands while its cpu waits, with interrupts off. */
	if (config->lead_ns && hrtimer_resolution > 1) {
		rtshm_refuse(extack, RTSHM_TEXT_LEAD_CLOCK);
		return -EOPNOTSUPP;
	}
	if (config->task_budget_ns > RTSHM_PERIOD_MAX_NS) {
		rtshm_refuse(extack, RTSHM_TEXT_BUDGET);
		return -ERANGE;
	}
	if (config->print > RTSHM_PRINT_MODE_CHANGES) {
		rtshm_refuse(extack, RTSHM_TEXT_PRINT);
		return -EINVAL;
	}
	if (config->record_depth > rtshm_limits.depth_max) {
		rtshm_refuse(extack, RTSHM_TEXT_DEPTH);
		return -ERANGE;
	}
	if (!config->record_bytes || config->record_bytes % sizeof(u64) ||
	    config->record_bytes > min_t(u64, size, RTSHM_RECORD_BYTES_MAX)) {
		rtshm_refuse(extack, RTSHM_TEXT_RECORD);
		return -EINVAL;
	}
	return 0;
}

/* When the ticks are; the period is known to be within its limits. */
static int rtshm_grid_check(const struct rtshm_config *config,
			    struct netlink_ext_ack *extack)
{
	u64 now_ns;

	if (config->clock > RTSHM_CLOCK_TAI) {
		rtshm_refuse(extack, RTSHM_TEXT_CLOCK);
		return -EINVAL;
	}
	if (config->phase_ns != RTSHM_NONE &&
	    config->phase_ns >= config->period_ns) {
		rtshm_refuse(extack, RTSHM_TEXT_PHASE);
		return -ERANGE;
	}
	if (config->start_ns == RTSHM_NONE)
		return 0;
	if (config->phase_ns != RTSHM_NONE) {
		rtshm_refuse(extack, RTSHM_TEXT_START);
		return -EINVAL;
	}
	now_ns = rtshm_clock_now(config->clock);
	if (config->start_ns <= now_ns ||
	    config->start_ns - now_ns > RTSHM_START_MAX_NS) {
		rtshm_refuse(extack, RTSHM_TEXT_START_TIME);
		return -ERANGE;
	}
	return 0;
}

/* Where the memory is; the size is known to be within its limits. */
static int rtshm_phys_check(const struct rtshm_config *config,
			    struct netlink_ext_ack *extack)
{
	if (config->phys == RTSHM_NONE) {
		if (!config->keep)
			return 0;
		rtshm_refuse(extack, RTSHM_TEXT_KEEP);
		return -EINVAL;
	}
	/* The difference on this side: nothing here can wrap. */
	if (config->phys > iomem_resource.end ||
	    config->size - 1 > iomem_resource.end - config->phys) {
		rtshm_refuse(extack, RTSHM_TEXT_PHYS);
		return -ERANGE;
	}
	if (!PAGE_ALIGNED(config->phys)) {
		rtshm_refuse(extack, RTSHM_TEXT_PHYS);
		return -EINVAL;
	}
	return 0;
}

int rtshm_config_check(const struct rtshm_config *config,
		       struct netlink_ext_ack *extack)
{
	int err;

	if (!rtshm_name_ok(config->name)) {
		rtshm_refuse(extack, RTSHM_TEXT_NAME);
		return -EINVAL;
	}
	if (config->size < PAGE_SIZE || config->size > RTSHM_SIZE_MAX) {
		rtshm_refuse(extack, RTSHM_TEXT_SIZE);
		return -ERANGE;
	}
	if (!PAGE_ALIGNED(config->size)) {
		rtshm_refuse(extack, RTSHM_TEXT_SIZE);
		return -EINVAL;
	}
	err = rtshm_phys_check(config, extack);
	if (err)
		return err;
	if (strlen(config->layout) > RTSHM_LAYOUT_MAX) {
		rtshm_refuse(extack, RTSHM_TEXT_LAYOUT);
		return -ERANGE;
	}
	if (config->cpu != RTSHM_CPU_ANY &&
	    (config->cpu >= nr_cpu_ids || !cpu_online(config->cpu))) {
		rtshm_refuse(extack, RTSHM_TEXT_CPU);
		return -ENODEV;
	}
	err = rtshm_settings_check(config, config->size, extack);
	return err ?: rtshm_grid_check(config, extack);
}

/* What is not asked for. */
void rtshm_config_init(struct rtshm_config *config, const char *name)
{
	*config = (struct rtshm_config) {
		.name = name,
		.layout = "",
		.size = PAGE_SIZE,
		.period_ns = RTSHM_PERIOD_DEFAULT_NS,
		.phase_ns = RTSHM_NONE,
		.start_ns = RTSHM_NONE,
		.phys = RTSHM_NONE,
		.record_bytes = sizeof(struct rtshm_word),
		.mode = RTSHM_MODE_DEFAULT,
		.uid = GLOBAL_ROOT_UID,
		.gid = GLOBAL_ROOT_GID,
		.cpu = RTSHM_CPU_ANY,
		.print = RTSHM_PRINT_MODE_OFF,
	};
}

/* The settings of a region, to change some of: see rtshm_region_change(). */
void rtshm_settings_of(struct rtshm_config *config,
		       const struct rtshm_region *region)
{
	rtshm_config_init(config, rtshm_name(region));
	config->period_ns = region->period_ns;
	config->lead_ns = region->lead_ns;
	config->task_budget_ns = region->task_budget_ns;
	config->task_long_max = region->task_long_max;
	config->print = region->print;
	config->record_depth = region->record_depth;
	config->record_bytes = region->record_bytes;
}
