// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw memory: at a physical address that the kernel was told to leave alone, by
 * memmap=1M$0x40000000 on its command line. Nothing else knows of it but by
 * rtshm_phys_get() and rtshm_phys_put().
 */

#include <linux/cc_platform.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "rtshm.h"

/* Constant, but for the list. */
struct rtshm_phys {
	struct list_head	list;
	struct resource		*resource;
	void			*mem;
	u64			start;
	u64			size;
	char			label[sizeof("rtshm ") + RTSHM_NAME_MAX];
};

/* All that is in use, including that of deleted regions. */
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
 * Requests memory that /proc/iomem lists as reserved in full: what it does not list
 * may be nothing, or hot-plugged later. The new resource becomes a child of the
 * smallest one that contains it; if that is not at the top, it belongs to a device.
 *
 * With CONFIG_IO_STRICT_DEVMEM, /dev/mem refuses what is busy, and such a region is
 * there to be mapped by it too: so the resource is busy during the request only, and
 * is removed, not released, as in drivers/dax/kmem.c.
 */
static int rtshm_phys_request(struct rtshm_phys *phys, struct netlink_ext_ack *extack)
{
	struct resource *resource;

	if (region_intersects(phys->start, phys->size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT)
		return rtshm_refuse(extack, -EBUSY,
				    "phys: this is the kernel's own RAM; set some aside with memmap= at boot");
	if (region_intersects(phys->start, phys->size, IORESOURCE_MEM,
			      IORES_DESC_RESERVED) != REGION_INTERSECTS)
		return rtshm_refuse(extack, -ENXIO,
				    "phys: not all of it is reserved; set memory aside with memmap= at boot");
	resource = request_mem_region(phys->start, phys->size, phys->label);
	if (!resource)
		goto err_busy;
	resource->flags &= ~IORESOURCE_BUSY;
	if (resource->desc == IORES_DESC_RESERVED &&
	    resource->parent->parent == &iomem_resource) {
		phys->resource = resource;
		return 0;
	}
	rtshm_phys_release(resource);
err_busy:
	return rtshm_refuse(extack, -EBUSY,
			    "phys: used by a driver or device, or its end is beyond a range of /proc/iomem");
}

/*
 * False for what somebody has mapped uncached, or an MTRR has as uncached. x86 then
 * maps it uncached for everybody, and memremap() does not say so; a copy of a page,
 * with interrupts off, would take a hundred times as long. Until 6.15 the request
 * takes such a mapping away from /dev/mem; since then it counts while its vma exists.
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

static void rtshm_phys_clear(struct rtshm_phys *phys)
{
	u64 pos, len;

	for (pos = 0; pos < phys->size; pos += len) {
		len = min_t(u64, phys->size - pos, SZ_1M);
		memset(phys->mem + pos, 0, len);
		cond_resched();
	}
}

/* Takes the memory that region->config names, and clears it unless it is to be kept. */
int rtshm_phys_get(struct rtshm_region *region, struct netlink_ext_ack *extack)
{
	const struct rtshm_config *config = &region->config;
	struct rtshm_phys *phys;
	int err;

	/* The mapping of a process may be another than the kernel's: other bytes. */
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT))
		return rtshm_refuse(extack, -EOPNOTSUPP,
				    "phys: this machine's memory is encrypted; boot with mem_encrypt=off");
	guard(mutex)(&rtshm_phys_lock);
	/* Before the request, for which another region's is not busy. */
	if (rtshm_phys_overlaps(config->phys, config->phys + (config->size - 1)))
		return rtshm_refuse(extack, -EBUSY,
				    "phys: in use by another region, or by a deleted one that is still open");
	phys = kzalloc(sizeof(*phys), GFP_KERNEL_ACCOUNT);
	if (!phys)
		return -ENOMEM;
	phys->start = config->phys;
	phys->size = config->size;
	scnprintf(phys->label, sizeof(phys->label), "rtshm %s", config->name);
	err = rtshm_phys_request(phys, extack);
	if (err)
		goto err_phys;
	phys->mem = memremap(phys->start, phys->size, MEMREMAP_WB);
	if (!phys->mem) {
		err = -ENOMEM;
		goto err_resource;
	}
	if (!rtshm_phys_cached(phys->mem)) {
		err = rtshm_refuse(extack, -EBUSY,
				   "phys: mapped uncached by a program (/dev/mem with O_SYNC), or not RAM");
		goto err_map;
	}
	if (!config->keep)
		rtshm_phys_clear(phys);
	list_add(&phys->list, &rtshm_phys_list);
	region->phys = phys;
	region->mem = (void __shm __force *)phys->mem;
	return 0;

err_map:
	memunmap(phys->mem);
err_resource:
	rtshm_phys_release(phys->resource);
err_phys:
	kfree(phys);
	return err;
}

/* Nobody has the memory mapped any more. */
void rtshm_phys_put(struct rtshm_phys *phys)
{
	memunmap(phys->mem);
	rtshm_phys_release(phys->resource);
	/* Last: from here on another region may have the memory. */
	scoped_guard(mutex, &rtshm_phys_lock)
		list_del(&phys->list);
	kfree(phys);
}
