// SPDX-License-Identifier: GPL-2.0-only
/*
 * A region: its memory, its device, its lifetime.
 *
 * region->dev is the reference count. rtshm_region_new() returns one reference to
 * its caller; every open file holds one through region->cdev, whose parent dev
 * is; the release frees memory and structure. The module itself is pinned by
 * the file operations' owner for as long as a file or a mapping is there.
 */

#include <linux/idr.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "rtshm.h"

static dev_t rtshm_devt;

/*
 * A minor is in use until the last file of its region is closed: an inode that
 * somebody made by hand finds the old region there, and not another one.
 */
static DEFINE_IDA(rtshm_minors);

static struct class rtshm_class = {
	.name = "rtshm",
};

/* The class and a number for a device: 0 or an errno. */
int rtshm_minor_get(struct device *dev)
{
	int minor = ida_alloc_max(&rtshm_minors, RTSHM_MINORS - 1, GFP_KERNEL);

	if (minor < 0)
		return minor;
	dev->class = &rtshm_class;
	dev->devt = rtshm_devt + minor;
	return 0;
}

void rtshm_minor_free(struct device *dev)
{
	if (dev->devt)
		ida_free(&rtshm_minors, MINOR(dev->devt) - MINOR(rtshm_devt));
}

/*
 * For devnode(), the caller frees it. Without a name the driver core would make,
 * and remove, another node: /dev/<name>. It has no way to be told of an error, so
 * these few bytes must be there.
 */
char *rtshm_node_name(const struct device *dev)
{
	return kasprintf(GFP_KERNEL | __GFP_NOFAIL, "rtshm/%s", dev_name(dev));
}

/* The thread of devtmpfs, or who reads an uevent. */
static char *rtshm_region_devnode(rtshm_devnode_device *dev, umode_t *mode,
				  kuid_t *uid, kgid_t *gid)
{
	const struct rtshm_region *region = container_of(dev, typeof(*region), dev);

	/* Asked for the name alone when the node goes. */
	if (mode)
		/* With its type: devtmpfs takes 0 for its own default. */
		*mode = S_IFCHR | region->mode;
	if (uid)
		*uid = region->uid;
	if (gid)
		*gid = region->gid;
	return rtshm_node_name(dev);
}

/*
 * For devices of the region. udev may let a group use one where nobody said who may.
 * The mode alone does not tell: one that was given may be the default, too.
 */
int rtshm_access_uevent(const struct rtshm_region *region,
			struct kobj_uevent_env *env)
{
	return region->access_default ?
	       add_uevent_var(env, "RTSHM_ACCESS=default") : 0;
}

static int rtshm_region_uevent(rtshm_uevent_device *dev,
			       struct kobj_uevent_env *env)
{
	return rtshm_access_uevent(container_of(dev, const struct rtshm_region, dev),
				   env);
}

/* Process context: whoever gives back the last reference. */
static void rtshm_region_release(struct device *dev)
{
	struct rtshm_region *region = container_of(dev, typeof(*region), dev);

	if (region->phys)
		rtshm_phys_put(region->phys);
	else
		rtshm_memory_put((void __force *)region->mem, region->size);
	kfree(region->layout);
	rtshm_minor_free(dev);
	kfree(region);
}

static const struct device_type rtshm_region_type = {
	.name = "rtshm_region",
	.devnode = rtshm_region_devnode,
	.uevent = rtshm_region_uevent,
	.release = rtshm_region_release,
};

/**
 * rtshm_region_new() - make a region without memory, node and thread
 * @config: What it is to be, found to be within the limits.
 *
 * Return: The region, with a reference for the caller, or an ERR_PTR.
 */
struct rtshm_region *rtshm_region_new(const struct rtshm_config *config)
{
	struct rtshm_region *region;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);

	region->size = config->size;
	region->mode = config->mode;
	region->uid = config->uid;
	region->gid = config->gid;
	/* What is at an address is for those who were given it by name. */
	region->access_default = !config->access_given && config->phys == RTSHM_NONE;
	region->cpu = config->cpu;
	region->clock = config->clock;
	region->phase_ns = config->phase_ns;
	region->start_ns = config->start_ns;
	region->lead_ns = config->lead_ns;
	region->period_ns = config->period_ns;
	region->task_budget_ns = config->task_budget_ns;
	region->task_long_max = config->task_long_max;
	region->print = config->print;
	region->record_depth = config->record_depth;
	region->record_bytes = config->record_bytes;
	rtshm_tick_init(region);

	/* From here on the release undoes all of it. */
	device_initialize(&region->dev);
	region->dev.type = &rtshm_region_type;

	err = dev_set_name(&region->dev, "%s", config->name);
	if (err)
		goto err_put;
	err = -ENOMEM;
	region->layout = kstrdup(config->layout, GFP_KERNEL_ACCOUNT);
	if (!region->layout)
		goto err_put;
	return region;

err_put:
	put_device(&region->dev);
	return ERR_PTR(err);
}

/*
 * Process context, no lock held. RTSHM_IOC_INFO: 0 or an errno. What can change is
 * loaded once each, so it may be of two moments.
 */
long rtshm_region_info(const struct rtshm_region *region, void __user *to)
{
	struct rtshm_info *info;
	long err = 0;

	static_assert(sizeof(info->name) == RTSHM_NAME_MAX + 1);
	static_assert(sizeof(info->layout) == RTSHM_LAYOUT_MAX + 1);
	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return -ENOMEM;
	strscpy(info->name, rtshm_name(region), sizeof(info->name));
	strscpy(info->layout, region->layout, sizeof(info->layout));
	info->id = region->id;
	info->size = region->size;
	/* rtshm_region_change() */
	info->period_ns = READ_ONCE(region->period_ns);
	if (READ_ONCE(region->record_depth))
		info->sample_bytes = sizeof(struct rtshm_sample) +
				     READ_ONCE(region->record_bytes);
	if (copy_to_user(to, info, sizeof(*info)))
		err = -EFAULT;
	kfree(info);
	return err;
}

/**
 * rtshm_region_show() - make the thread and the device node of a region
 * @region: The region, which has its memory.
 * @state_fops: What the device node does.
 *
 * Process context, no lock held. The region does not tick before
 * rtshm_tick_start(); the shutting of the region undoes all of it.
 *
 * Return: 0 or an errno.
 */
int rtshm_region_show(struct rtshm_region *region,
		      const struct file_operations *state_fops)
{
	int err;

	err = rtshm_minor_get(&region->dev);
	if (err)
		return err;
	err = rtshm_thread_start(region);
	if (err)
		return err;

	/* Last of what can be done without anybody seeing it: it cannot be undone. */
	if (region->phys)
		rtshm_phys_begin(region->phys);

	cdev_init(&region->cdev, state_fops);
	region->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&region->cdev, &region->dev);
	if (err) {
		/* Somebody may have opened the cdev before its device failed. */
		WRITE_ONCE(region->dead, true);
		rtshm_thread_stop(region);
	}
	return err;
}

/*
 * Process context, no lock held. Shut every door of the region, then stop what runs in it;
 * its counters are final afterwards, its memory stays until the last put.
 */
void rtshm_region_shut(struct rtshm_region *region)
{
	/*
	 * Before the node goes: an inode that has the cdev at hand opens it
	 * without the node. rtshm_state_open() and rtshm_state_poll() look.
	 */
	WRITE_ONCE(region->dead, true);
	cdev_device_del(&region->cdev, &region->dev);
	rtshm_tick_stop(region);
	/*
	 * All, whatever they wait for. rtshm_state_poll() is in the queue before
	 * it looks whether the region is dead.
	 */
	rtshm_wake_all(&region->taken, EPOLLHUP | EPOLLERR | EPOLLOUT | EPOLLWRNORM);
}

void rtshm_region_put(struct rtshm_region *region)
{
	put_device(&region->dev);
}

int rtshm_devices_init(void)
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

void rtshm_devices_exit(void)
{
	/* Made and not released: what has a number or memory is still there. */
	WARN_ON(!ida_is_empty(&rtshm_minors) || atomic64_read(&rtshm_bytes));
	class_unregister(&rtshm_class);
	unregister_chrdev_region(rtshm_devt, RTSHM_MINORS);
	ida_destroy(&rtshm_minors);
}
