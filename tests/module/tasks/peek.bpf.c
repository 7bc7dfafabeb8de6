// SPDX-License-Identifier: GPL-2.0-only
/* Reads memory of the kernel by a helper, which a kernel that is locked down may refuse. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

RTSHM_TASK int peek(struct rtshm_tick *tick)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), tick);
	RECORD(tick)->output = !!value;
	return 0;
}
