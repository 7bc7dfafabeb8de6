// SPDX-License-Identifier: GPL-2.0-only
/*
 * A region: its memory, its device, its lifetime.
 *
 * region->dev is the reference count. rtshm_region_new() hands one reference to
 * its caller; every open file holds one through region->cdev, whose parent dev
 * is; the release frees memory and structure. The module itself is pinned by
 * the file operations' owner for as long as a file or a mapping is there.
 */

#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "rtshm.h"

/* One region, one node. */
#define RTSHM_MINORS	1

static dev_t rtshm_devt;

static struct class rtshm_class = {
	.name = "rtshm",
};

static char *rtshm_region_devnode(rtshm_devnode_device *dev, umode_t *mode,
				  kuid_t *uid, kgid_t *gid)
{
	/* Asked for the name alone when the node goes. */
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "rtshm/%s", dev_name(dev));
}

static void rtshm_region_release(struct device *dev)
{
	struct rtshm_region *region = container_of(dev, typeof(*region), dev);

	vfree((void __force *)region->mem);
	kfree(region);
}

static const struct device_type rtshm_region_type = {
	.name = "rtshm_region",
	.devnode = rtshm_region_devnode,
	.release = rtshm_region_release,
};

/**
 * rtshm_region_new() - make a region and its device node
 * @name: Name of the region and of its node below /dev/rtshm.
 * @size: Bytes, a multiple of the page size.
 * @period_ns: Period of the tick in ns.
 * @print: Whether each tick prints the value.
 * @state_fops: What the device node does.
 *
 * The region does not tick before rtshm_tick_start().
 *
 * Return: The region, with a reference for the caller, or an ERR_PTR.
 */
struct rtshm_region *rtshm_region_new(const char *name, size_t size,
				      u64 period_ns, bool print,
				      const struct file_operations *state_fops)
{
	struct rtshm_region *region;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);

	region->size = size;
	region->period_ns = period_ns;
	region->print = print;
	rtshm_tick_init(region);

	/* From here on the release undoes all of it. */
	device_initialize(&region->dev);
	region->dev.class = &rtshm_class;
	region->dev.type = &rtshm_region_type;
	region->dev.devt = rtshm_devt;

	err = dev_set_name(&region->dev, "%s", name);
	if (err)
		goto err_put;

	/*
	 * A size that does not fit is an errno, not a splat or an OOM kill.
	 * __GFP_RETRY_MAYFAIL would say so better; vmalloc warns of it in 6.19.
	 */
	region->mem = (void __shm __force *)
		__vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
				__GFP_NORETRY);
	if (!region->mem) {
		err = -ENOMEM;
		goto err_put;
	}

	cdev_init(&region->cdev, state_fops);
	region->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&region->cdev, &region->dev);
	if (err)
		goto err_put;
	return region;

err_put:
	put_device(&region->dev);
	return ERR_PTR(err);
}

/*
 * Process context. Shut every door of the region, then stop what runs in it;
 * its counters are final afterwards, its memory stays until the last put.
 */
void rtshm_region_shut(struct rtshm_region *region)
{
	cdev_device_del(&region->cdev, &region->dev);
	rtshm_tick_stop(region);
}

void rtshm_region_put(struct rtshm_region *region)
{
	put_device(&region->dev);
}

/*
 * The largest naturally aligned piece, 8 bytes at most, that begins at pos.
 * Copied piece by piece, a field of up to 8 bytes that lies naturally aligned
 * within the range is one load or one store, which processes that have the
 * region mapped see too.
 */
static size_t rtshm_piece(size_t pos, size_t len)
{
	size_t piece = sizeof(u64);

	while (pos & (piece - 1) || piece > len)
		piece >>= 1;
	return piece;
}

static void rtshm_store_piece(struct rtshm_region *region, size_t pos,
			      const void *from, size_t piece)
{
	void *mem = (void __force *)(region->mem + pos);

	switch (piece) {
	case 8:
		WRITE_ONCE(*(u64 *)mem, get_unaligned((const u64 *)from));
		break;
	case 4:
		WRITE_ONCE(*(u32 *)mem, get_unaligned((const u32 *)from));
		break;
	case 2:
		WRITE_ONCE(*(u16 *)mem, get_unaligned((const u16 *)from));
		break;
	default:
		WRITE_ONCE(*(u8 *)mem, *(const u8 *)from);
	}
}

static void rtshm_load_piece(struct rtshm_region *region, size_t pos,
			     void *to, size_t piece)
{
	const void *mem = (const void __force *)(region->mem + pos);

	switch (piece) {
	case 8:
		put_unaligned(READ_ONCE(*(const u64 *)mem), (u64 *)to);
		break;
	case 4:
		put_unaligned(READ_ONCE(*(const u32 *)mem), (u32 *)to);
		break;
	case 2:
		put_unaligned(READ_ONCE(*(const u16 *)mem), (u16 *)to);
		break;
	default:
		*(u8 *)to = READ_ONCE(*(const u8 *)mem);
	}
}

/*
 * Process context. No tick and no copy out sees part of a copy in. At most a
 * page, which bounds the time with interrupts off; the caller has checked that
 * the range is inside the region.
 */
void rtshm_region_copy_in(struct rtshm_region *region, size_t pos,
			  const void *from, size_t len)
{
	size_t piece;

	scoped_guard(raw_spinlock_irqsave, &region->lock) {
		for (; len; pos += piece, from += piece, len -= piece) {
			piece = rtshm_piece(pos, len);
			rtshm_store_piece(region, pos, from, piece);
		}
	}
}

/* As rtshm_region_copy_in(), the other way. */
void rtshm_region_copy_out(struct rtshm_region *region, size_t pos,
			   void *to, size_t len)
{
	size_t piece;

	scoped_guard(raw_spinlock_irqsave, &region->lock) {
		for (; len; pos += piece, to += piece, len -= piece) {
			piece = rtshm_piece(pos, len);
			rtshm_load_piece(region, pos, to, piece);
		}
	}
}

int rtshm_regions_init(void)
{
	int err;

	err = alloc_chrdev_region(&rtshm_devt, 0, RTSHM_MINORS, KBUILD_MODNAME);
	if (err)
		return err;
	err = class_register(&rtshm_class);
	if (err)
		goto err_chrdev;
	return 0;

err_chrdev:
	unregister_chrdev_region(rtshm_devt, RTSHM_MINORS);
	return err;
}

void rtshm_regions_exit(void)
{
	class_unregister(&rtshm_class);
	unregister_chrdev_region(rtshm_devt, RTSHM_MINORS);
}
