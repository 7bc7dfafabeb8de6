// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of regions and of their samples, and how much there is of it.
 */

#include <linux/math.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "rtshm.h"

/*
 * Until the last user is gone. Added to under rtshm_regions_lock only: who holds
 * it may see it become less, never more.
 */
atomic64_t rtshm_bytes;

/* Process context, rtshm_regions_lock held. Zeroed memory, or NULL. */
void *rtshm_memory_get(u64 bytes)
{
	void *memory;

	/*
	 * A size that does not fit is an errno, not a splat or an OOM kill. Look
	 * first: 7.3 has taken all that there is before it finds out, and others
	 * pay for that.
	 */
	if (DIV_ROUND_UP_ULL(bytes, PAGE_SIZE) > si_mem_available())
		return NULL;
	/* __GFP_RETRY_MAYFAIL would say so better; vmalloc warns of it in 6.19. */
	memory = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO |
				  __GFP_NOWARN | __GFP_NORETRY);
	if (memory)
		atomic64_add(bytes, &rtshm_bytes);
	return memory;
}

/* Process context. NULL is no memory. */
void rtshm_memory_put(void *memory, u64 bytes)
{
	if (memory)
		atomic64_sub(bytes, &rtshm_bytes);
	vfree(memory);
}
