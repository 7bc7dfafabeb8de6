// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that rtshm must refuse, from Linux 6.4 on: see test_bpf_tasks.py. In a file of
 * its own, since libbpf loads none of a file that calls functions of a kernel without BTF.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <rtshm_region.h>

RTSHM_LICENSE("GPL");

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;

RTSHM_TASK int with_an_iterator(struct rtshm_tick *tick)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 1000);
	while (bpf_iter_num_next(&it))
		RECORD(tick)->output++;
	bpf_iter_num_destroy(&it);
	return 0;
}
