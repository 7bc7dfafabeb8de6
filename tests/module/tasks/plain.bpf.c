// SPDX-License-Identifier: GPL-2.0-only
/* A program of another type, for test_bpf_tasks.py to have refused. */

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

__attribute__((section("raw_tp"), used)) int plain(void *context)
{
	return 0;
}
