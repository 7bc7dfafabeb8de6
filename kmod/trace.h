/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rtshm

#if !defined(RTSHM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RTSHM_TRACE_H

#include <linux/rtshm.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

/*
 * One line a tick. region is an array of fixed size: __assign_str() takes other
 * arguments since 6.10, and a tick has no use for the dynamic part. Every byte of
 * the entry is written, since the trace buffer holds older events: the name is
 * padded, and ready, which is set for the tick that took an announcement, is as
 * wide as the alignment of the entry asks for.
 */
TRACE_EVENT(rtshm_tick,
	TP_PROTO(const char *region, u64 tick, s32 value, s64 lateness_ns,
		 bool ready),
	TP_ARGS(region, tick, value, lateness_ns, ready),
	TP_STRUCT__entry(
		__array(char, region, RTSHM_NAME_MAX + 1)
		__field(u64, tick)
		__field(s64, lateness_ns)
		__field(s32, value)
		__field(u32, ready)
	),
	TP_fast_assign(
		strscpy_pad(__entry->region, region, sizeof(__entry->region));
		__entry->tick = tick;
		__entry->lateness_ns = lateness_ns;
		__entry->value = value;
		__entry->ready = ready;
	),
	TP_printk("region=%s tick=%llu value=%d lateness_ns=%lld ready=%u",
		  __entry->region, __entry->tick, __entry->value,
		  __entry->lateness_ns, __entry->ready)
);

#endif /* RTSHM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
