// SPDX-License-Identifier: GPL-2.0-only
/*
 * One region: its parts and their lifetime, from rtshm_region_new() to the last put.
 *
 * The list of regions, each node and each claim hold a reference to the region; an
 * open file holds its node, a mapping its file. The file operations' owner pins the
 * module for as long as a file or a mapping exists.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/uaccess.h>

#include "may.h"
#include "ring.h"
#include "rtshm.h"
#include "tick.h"

/* Device numbers, including those of deleted regions that are still open. */
#define RTSHM_MINORS	8192

/* A device node of a region. Its device holds a reference to the region. */
struct rtshm_node {
	struct device		dev;
	struct cdev		cdev;
	struct rtshm_region	*region;
	umode_t			most;		/* of the region's mode */
};

static dev_t rtshm_devt;

/*
 * A minor stays in use until the last file of its node is closed: who opens an inode
 * that was made by hand gets the deleted region, not another one.
 */
static DEFINE_IDA(rtshm_minors);

static struct class rtshm_class = {
	.name = "rtshm",
};

/* The settings of one moment. */
static struct rtshm_settings rtshm_region_settings(struct rtshm_region *region)
{
	struct rtshm_settings set;

	scoped_guard(raw_spinlock_irqsave, &region->lock)
		set = region->config.set;
	return set;
}

/*
 * Called by the thread of devtmpfs, or by who reads an uevent. Without a name the
 * driver core would make /dev/<name>, and it cannot be told of an error.
 */
static char *rtshm_node_devnode(rtshm_const_device *dev, umode_t *mode, kuid_t *uid,
				kgid_t *gid)
{
	const struct rtshm_node *node = container_of(dev, typeof(*node), dev);
	struct rtshm_settings set = rtshm_region_settings(node->region);

	/* NULL when the node is removed. */
	if (mode)
		/* With its type: devtmpfs takes 0 for its own default. */
		*mode = S_IFCHR | (set.access.mode & node->most);
	if (uid)
		*uid = set.access.uid;
	if (gid)
		*gid = set.access.gid;
	return kasprintf(GFP_KERNEL | __GFP_NOFAIL, "rtshm/%s", dev_name(dev));
}

/*
 * udev may let a group use a region that was made without mode and owner. The mode
 * alone does not tell, and raw memory is for those who were given it by name.
 */
static int rtshm_node_uevent(rtshm_const_device *dev, struct kobj_uevent_env *env)
{
	const struct rtshm_node *node = container_of(dev, typeof(*node), dev);

	if (rtshm_region_settings(node->region).access.given ||
	    node->region->config.phys != RTSHM_NONE)
		return 0;
	return add_uevent_var(env, "RTSHM_ACCESS=default");
}

static void rtshm_node_release(struct device *dev)
{
	struct rtshm_node *node = container_of(dev, typeof(*node), dev);

	if (dev->devt)
		ida_free(&rtshm_minors, MINOR(dev->devt) - MINOR(rtshm_devt));
	rtshm_region_put(node->region);
	kfree(node);
}

static const struct device_type rtshm_node_type = {
	.name = "rtshm",
	.devnode = rtshm_node_devnode,
	.uevent = rtshm_node_uevent,
	.release = rtshm_node_release,
};

/* Of an inode that is opened: the file holds the node, and the node the region. */
struct rtshm_region *rtshm_region_of(const struct inode *inode)
{
	return container_of(inode->i_cdev, struct rtshm_node, cdev)->region;
}

/*
 * Makes the node /dev/rtshm/<name><suffix>. udev hears of it by
 * rtshm_region_announce(), or never, if the region is not completed.
 */
static struct rtshm_node *rtshm_node_new(struct rtshm_region *region, const char *suffix,
					 umode_t most, const struct file_operations *fops,
					 struct netlink_ext_ack *extack)
{
	struct rtshm_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	int err;

	if (!node)
		return ERR_PTR(-ENOMEM);
	kref_get(&region->kref);
	node->region = region;
	node->most = most;
	/* From here on the release undoes all of it. */
	device_initialize(&node->dev);
	node->dev.class = &rtshm_class;
	node->dev.type = &rtshm_node_type;
	dev_set_uevent_suppress(&node->dev, true);
	err = dev_set_name(&node->dev, "%s%s", rtshm_name(region), suffix);
	if (err)
		goto err_put;
	err = ida_alloc_max(&rtshm_minors, RTSHM_MINORS - 1, GFP_KERNEL);
	if (err == -ENOSPC)
		rtshm_refuse(extack, err, "name: %u device numbers are all in use", RTSHM_MINORS);
	if (err < 0)
		goto err_put;
	node->dev.devt = rtshm_devt + err;
	cdev_init(&node->cdev, fops);
	node->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&node->cdev, &node->dev);
	if (err)
		goto err_put;
	return node;

err_put:
	put_device(&node->dev);
	return ERR_PTR(err);
}

/*
 * Has udev hear of a new node, or of another mode or owner, which it gives to the node.
 * The kernel cannot do the latter: only devtmpfs itself finds its nodes, and it changes
 * none. By its path a module would find a node of the caller's own /dev.
 */
static void rtshm_node_announce(struct rtshm_node *node, bool changed)
{
	bool added = dev_get_uevent_suppress(&node->dev);

	if (!added && !changed)
		return;
	dev_set_uevent_suppress(&node->dev, false);
	kobject_uevent(&node->dev.kobj, added ? KOBJ_ADD : KOBJ_CHANGE);
}

static void rtshm_node_remove(struct rtshm_node *node)
{
	cdev_device_del(&node->cdev, &node->dev);
	put_device(&node->dev);
}

/* A region of these settings, which is nowhere yet. @config is within the limits. */
struct rtshm_region *rtshm_region_new(const struct rtshm_config *config)
{
	struct rtshm_region *region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);

	if (!region)
		return NULL;
	region->config = *config;
	region->config.layout = kstrdup(config->layout, GFP_KERNEL_ACCOUNT);
	if (!region->config.layout) {
		kfree(region);
		return NULL;
	}
	region->periodic = config->set.period_ns;
	kref_init(&region->kref);
	mutex_init(&region->change);
	rtshm_tick_init(region);
	return region;
}

static void rtshm_region_release(struct kref *kref)
{
	struct rtshm_region *region = container_of(kref, typeof(*region), kref);

	if (IS_ENABLED(CONFIG_HAS_IOMEM) && region->phys)
		rtshm_phys_put(region->phys);
	else
		rtshm_memory_put(region->member, (void __force *)region->mem,
				 region->config.size);
	rtshm_member_leave(region->member);
	kfree(region->config.layout);
	kfree_rcu(region, rcu);	/* rtshm_task_kick() */
}

void rtshm_region_put(struct rtshm_region *region)
{
	kref_put(&region->kref, rtshm_region_release);
}

/*
 * RTSHM_IOC_INFO: 0 or an errno. The settings are those of one moment. sample_bytes: of
 * the samples that the descriptor reads; 0: as the region has them now.
 */
long rtshm_region_info(struct rtshm_region *region, u32 sample_bytes, void __user *to)
{
	struct rtshm_settings set = rtshm_region_settings(region);
	struct rtshm_info *info;
	long err = 0;

	static_assert(sizeof(info->name) == RTSHM_NAME_MAX + 1);
	static_assert(sizeof(info->layout) == RTSHM_LAYOUT_MAX + 1);
	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return -ENOMEM;
	strscpy(info->name, rtshm_name(region), sizeof(info->name));
	strscpy(info->layout, region->config.layout, sizeof(info->layout));
	info->id = region->id;
	info->size = region->config.size;
	info->period_ns = set.period_ns;
	info->sample_bytes = sample_bytes;
	if (!sample_bytes && set.history)
		info->sample_bytes = sizeof(struct rtshm_sample) + set.record_bytes;
	if (copy_to_user(to, info, sizeof(*info)))
		err = -EFAULT;
	kfree(info);
	return err;
}

/*
 * region->change held, rtshm_regions_lock not: this may take seconds. Gives the
 * region a history of these settings, another one or none. A reader of the old
 * one gets what is left of it, then its end.
 */
int rtshm_region_record(struct rtshm_region *region, const struct rtshm_settings *set,
			struct netlink_ext_ack *extack)
{
	struct rtshm_ring *ring = rtshm_ring_new(set, region->member, extack);
	struct rtshm_node *node;

	if (IS_ERR(ring))
		return PTR_ERR(ring);
	/* The ring first: who finds the node can open it. */
	rtshm_ring_replace(region, ring);
	if (ring && !region->samples) {
		node = rtshm_node_new(region, ".samples", 0444, &rtshm_samples_fops, extack);
		if (IS_ERR(node)) {
			rtshm_ring_replace(region, NULL);
			return PTR_ERR(node);
		}
		region->samples = node;
	} else if (!ring && region->samples) {
		rtshm_node_remove(region->samples);
		region->samples = NULL;
	}
	return 0;
}

static int rtshm_region_fill(struct rtshm_region *region, struct netlink_ext_ack *extack)
{
	void *mem;

	if (region->config.phys != RTSHM_NONE) {
		if (IS_ENABLED(CONFIG_HAS_IOMEM))
			return rtshm_phys_get(region, extack);
		return rtshm_refuse(extack, -ENXIO, "phys: this machine has no such addresses");
	}
	mem = rtshm_memory_get(region->member, region->config.size,
			       cpu_to_node(region->config.set.timer_cpu), "size", extack);
	if (IS_ERR(mem))
		return PTR_ERR(mem);
	region->mem = (void __shm __force *)mem;
	return 0;
}

/*
 * Makes everything of a region that takes long, and starts its ticks. On failure
 * nothing of it runs, and nobody was told of it.
 */
int rtshm_region_build(struct rtshm_region *region, struct netlink_ext_ack *extack)
{
	const struct rtshm_config *config = &region->config;
	struct rtshm_node *node;
	int err;

	err = rtshm_thread_start(region);
	if (err)
		return err;
	err = rtshm_region_record(region, &config->set, extack);
	if (err)
		goto err_stop;
	/* Late: raw memory cannot be given back as it was. */
	err = rtshm_region_fill(region, extack);
	if (err)
		goto err_stop;
	node = rtshm_node_new(region, "", 0777, &rtshm_state_fops, extack);
	if (IS_ERR(node)) {
		err = PTR_ERR(node);
		goto err_stop;
	}
	region->state = node;
	/* Before the first tick, which prints its own line. */
	if (config->at_load)
		pr_info("loaded: default has %llu bytes and a tick every %llu ns\n",
			config->size, config->set.period_ns);
	rtshm_timer_begin(region);
	return 0;

err_stop:
	rtshm_region_stop(region);
	return err;
}

/* region->change held. @changed: the mode or the owner of the nodes. */
void rtshm_region_announce(struct rtshm_region *region, bool changed)
{
	rtshm_node_announce(region->state, changed);
	if (region->samples)
		rtshm_node_announce(region->samples, changed);
}

/*
 * region->change held, no other lock: the thread may have to wait for its turn. Stops
 * as much of the region as was made. Afterwards nothing of it runs and its counters
 * are final. Its memory stays until the last put.
 */
void rtshm_region_stop(struct rtshm_region *region)
{
	/* Before the node goes: who has its inode opens the cdev without it. */
	WRITE_ONCE(region->dead, true);
	if (region->state)
		rtshm_node_remove(region->state);
	rtshm_timer_end(region);
	if (!region->periodic)
		synchronize_rcu();	/* rtshm_kick() */
	rtshm_thread_stop(region);
	/* rtshm_state_poll() is in the queue before it looks at region->dead. */
	rtshm_wake_all(&region->state_queue,
		       EPOLLHUP | EPOLLERR | EPOLLOUT | EPOLLWRNORM);
	/* After the last tick, whose sample can still be read. */
	rtshm_ring_replace(region, NULL);
	if (region->samples)
		rtshm_node_remove(region->samples);
}

int rtshm_devices_init(void)
{
	int err;

	err = alloc_chrdev_region(&rtshm_devt, 0, RTSHM_MINORS, KBUILD_MODNAME);
	if (err)
		return err;
	err = class_register(&rtshm_class);
	if (err)
		unregister_chrdev_region(rtshm_devt, RTSHM_MINORS);
	return err;
}

void rtshm_devices_exit(void)
{
	/* What has a minor or memory was made and not released. */
	WARN_ON(!ida_is_empty(&rtshm_minors) || atomic64_read(&rtshm_bytes));
	class_unregister(&rtshm_class);
	unregister_chrdev_region(rtshm_devt, RTSHM_MINORS);
	ida_destroy(&rtshm_minors);
}
