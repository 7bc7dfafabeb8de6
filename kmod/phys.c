// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw memory of regions: at a physical address that the kernel was told to leave
 * alone, by memmap=1M$0x40000000 on its command line.
 */

#include <linux/cc_platform.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "rtshm.h"

/* All that is in use, that of deleted regions included. */
static LIST_HEAD(rtshm_phys_list);
static DEFINE_MUTEX(rtshm_phys_lock);

static bool rtshm_phys_overlaps(u64 start, u64 end)
{
	struct rtshm_phys *phys;

	list_for_each_entry(phys, &rtshm_phys_list, list)
		if (phys->start <= end && start <= phys->start + (phys->size - 1))
			return true;
	return false;
}

static void rtshm_phys_release(struct resource *resource)
{
	remove_resource(resource);
	kfree(resource);
}

/*
 * Where there is no resource, there may be no memory or, some day, other memory:
 * all of it must be what memmap=, or the firmware, has as reserved. A request
 * fails where a driver is. It becomes a child of the smallest resource that has
 * all of it: one that is not at the top is a device's, be it busy or not.
 *
 * /dev/mem does not map what is busy where CONFIG_IO_STRICT_DEVMEM is set, and
 * to be mapped there is what such a region is for: busy for the request alone.
 * Like that of drivers/dax/kmem.c, it is then not released but removed.
 */
static struct resource *rtshm_phys_request(const char *label, u64 start, u64 size,
					   enum rtshm_text *why)
{
	struct resource *resource;

	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT) {
		*why = RTSHM_TEXT_PHYS_RAM;
		return ERR_PTR(-EBUSY);
	}
	if (region_intersects(start, size, IORESOURCE_MEM,
			      IORES_DESC_RESERVED) != REGION_INTERSECTS) {
		*why = RTSHM_TEXT_PHYS_RESERVED;
		return ERR_PTR(-ENXIO);
	}
	*why = RTSHM_TEXT_PHYS_BUSY;
	resource = request_mem_region(start, size, label);
	if (!resource)
		return ERR_PTR(-EBUSY);
	resource->flags &= ~IORESOURCE_BUSY;
	if (resource->desc != IORES_DESC_RESERVED ||
	    resource->parent->parent != &iomem_resource) {
		rtshm_phys_release(resource);
		return ERR_PTR(-EBUSY);
	}
	return resource;
}

/*
 * What somebody has mapped uncached, or an MTRR has as uncached, x86 maps so for all
 * who ask, and memremap() says nothing. A copy of a page, which is done with interrupts
 * off, would take a hundred times as long. Up to 6.15 the request took such a mapping
 * away from /dev/mem and forgot it; since then it counts for as long as its vma is there.
 */
static bool rtshm_phys_cached(void *mem)
{
#ifdef CONFIG_X86
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)mem, &level);

	return pte && !(pte_flags(*pte) & (_PAGE_PWT | _PAGE_PCD));
#else
	return true;
#endif
}

/* Process context, before anybody else has the memory. What is kept stays. */
void rtshm_phys_begin(struct rtshm_phys *phys)
{
	u64 pos, len;

	for (pos = 0; !phys->keep && pos < phys->size; pos += len) {
		len = min_t(u64, phys->size - pos, SZ_1M);
		memset(phys->mem + pos, 0, len);
		cond_resched();
	}
}

/**
 * rtshm_phys_get() - take raw memory
 * @name: The region that it is for.
 * @start: Its physical address, and
 * @size: its bytes, both within the limits of rtshm_config_check().
 * @keep: Whether what it has is kept, in place of zeroes.
 * @why: What is to be said of a refusal.
 *
 * Process context. The memory is not touched before rtshm_phys_begin().
 *
 * Return: The memory, or an ERR_PTR.
 */
struct rtshm_phys *rtshm_phys_get(const char *name, u64 start, u64 size, bool keep,
				  enum rtshm_text *why)
{
	struct rtshm_phys *phys;
	int err;

	/* The kernel's mapping may be another than a process's there: other bytes. */
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT)) {
		*why = RTSHM_TEXT_PHYS_ENCRYPTED;
		return ERR_PTR(-EOPNOTSUPP);
	}
	/* Until the memory is in the list, for others to find it there. */
	guard(mutex)(&rtshm_phys_lock);
	/* Before the request, which would find the other region's not busy. */
	if (rtshm_phys_overlaps(start, start + (size - 1))) {
		*why = RTSHM_TEXT_PHYS_REGION;
		return ERR_PTR(-EBUSY);
	}
	phys = kzalloc(sizeof(*phys), GFP_KERNEL_ACCOUNT);
	if (!phys) {
		*why = RTSHM_TEXT_MEMORY;
		return ERR_PTR(-ENOMEM);
	}
	phys->start = start;
	phys->size = size;
	phys->keep = keep;
	scnprintf(phys->label, sizeof(phys->label), "rtshm %s", name);

	phys->resource = rtshm_phys_request(phys->label, start, size, why);
	if (IS_ERR(phys->resource)) {
		err = PTR_ERR(phys->resource);
		goto err_phys;
	}
	phys->mem = memremap(start, size, MEMREMAP_WB);
	if (!phys->mem) {
		*why = RTSHM_TEXT_MEMORY;
		err = -ENOMEM;
		goto err_resource;
	}
	if (!rtshm_phys_cached(phys->mem)) {
		*why = RTSHM_TEXT_PHYS_CACHE;
		err = -EBUSY;
		goto err_map;
	}
	list_add(&phys->list, &rtshm_phys_list);
	return phys;

err_map:
	memunmap(phys->mem);
err_resource:
	rtshm_phys_release(phys->resource);
err_phys:
	kfree(phys);
	return ERR_PTR(err);
}

/* Process context. NULL is no memory. Nobody has it mapped any more. */
void rtshm_phys_put(struct rtshm_phys *phys)
{
	if (!phys)
		return;
	memunmap(phys->mem);
	rtshm_phys_release(phys->resource);
	/* Last: from here on another region may have it. */
	scoped_guard(mutex, &rtshm_phys_lock)
		list_del(&phys->list);
	kfree(phys);
}
