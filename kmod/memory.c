// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of regions and of their samples, and the limit on all of it.
 */

#include <linux/kmemleak.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "may.h"
#include "rtshm.h"

/* Of all regions and samples, until the last user has closed them. */
atomic64_t rtshm_bytes;

/* What does not fit is refused, without a line in the log or an OOM kill. */
#define RTSHM_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NORETRY)

/*
 * Allocates page by page in place of vmalloc(), which frees what it took before it
 * failed from a work item (since 6.19). Until then the caller's memory cgroup would
 * be full, and his next page fault would invoke the OOM killer.
 */
static void *rtshm_pages_get(unsigned int count, int node)
{
	struct page **pages;
	unsigned int taken;
	void *memory = NULL;

	pages = kvmalloc_array(count, sizeof(*pages), RTSHM_GFP & ~__GFP_ACCOUNT);
	if (!pages)
		return NULL;
	for (taken = 0; taken < count; taken++) {
		cond_resched();
		if (fatal_signal_pending(current))
			break;
		pages[taken] = alloc_pages_node(node, RTSHM_GFP | __GFP_ZERO, 0);
		if (!pages[taken])
			break;
	}
	if (taken == count)
		memory = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	while (!memory && taken--)
		__free_page(pages[taken]);
	kvfree(pages);
	return memory;
}

/* Not by VM_MAP_PUT_PAGES: until 6.13 vfree() subtracted such pages from its counters. */
static void rtshm_pages_put(void *memory, u64 bytes)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	for (u64 at = 0; at < bytes; at += PAGE_SIZE)
		list_add(&vmalloc_to_page(memory + at)->lru, &pages);
	vunmap(memory);
	list_for_each_entry_safe(page, next, &pages, lru) {
		__free_page(page);
		cond_resched();
	}
}

/* Counts bytes, unless there would be more than bytes_max. */
static bool rtshm_bytes_reserve(u64 bytes)
{
	s64 now = atomic64_read(&rtshm_bytes);

	do {
		if (now + bytes > rtshm_limits.bytes_max)
			return false;
	} while (!atomic64_try_cmpxchg(&rtshm_bytes, &now, now + bytes));
	return true;
}

/*
 * Returns zeroed memory, charged to the caller's memory cgroup, from @node as long as
 * that has some. It counts for @member until it is put. -EDQUOT, -ENOSPC beyond bytes_max,
 * or -ENOMEM, with a message about @attribute. May take seconds.
 */
void *rtshm_memory_get(struct rtshm_member *member, u64 bytes, int node,
		       const char *attribute, struct netlink_ext_ack *extack)
{
	u64 count = DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);
	void *memory = NULL;
	int err;

	err = rtshm_member_charge(member, RTSHM_QUOTA_BYTES, bytes, attribute, extack);
	if (err)
		return ERR_PTR(err);
	if (!rtshm_bytes_reserve(bytes)) {
		err = rtshm_refuse(extack, -ENOSPC,
				   "%s: all regions may have %llu bytes (parameter bytes_max)",
				   attribute, rtshm_limits.bytes_max);
		goto err_member;
	}
	/* Others would have to give up memory for an allocation that fails in the end. */
	if (count <= min_t(u64, si_mem_available(), UINT_MAX))
		memory = rtshm_pages_get(count, node);
	if (!memory) {
		err = rtshm_refuse(extack, -ENOMEM, "%s: not enough free memory", attribute);
		goto err_bytes;
	}
	/* Two pointers to it are known: the kernel's of vmap(), and the caller's. */
	kmemleak_alloc(memory, bytes, 2, GFP_KERNEL);
	kmemleak_no_scan(memory);
	return memory;

err_bytes:
	atomic64_sub(bytes, &rtshm_bytes);
err_member:
	rtshm_member_add(member, RTSHM_QUOTA_BYTES, -bytes);
	return ERR_PTR(err);
}

/* @memory may be NULL. */
void rtshm_memory_put(struct rtshm_member *member, void *memory, u64 bytes)
{
	if (!memory)
		return;
	kmemleak_free(memory);
	rtshm_pages_put(memory, bytes);
	atomic64_sub(bytes, &rtshm_bytes);
	rtshm_member_add(member, RTSHM_QUOTA_BYTES, -bytes);
}
