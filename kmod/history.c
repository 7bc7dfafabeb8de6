// SPDX-License-Identifier: GPL-2.0-only
/*
 * The history of a region: a ring of samples and the node to read it by.
 *
 * It has a device of its own, and with it a reference count: of the region, and
 * of every open file. It holds a reference to the region in turn. Another depth
 * is another ring in the same history.
 */

#include <linux/poll.h>
#include <linux/slab.h>

#include "rtshm.h"

/* The thread of devtmpfs, or who reads an uevent. */
static char *rtshm_history_devnode(rtshm_devnode_device *dev, umode_t *mode,
				   kuid_t *uid, kgid_t *gid)
{
	const struct rtshm_history *history = container_of(dev, typeof(*history),
							   dev);

	if (mode)
		*mode = S_IFCHR | (history->region->mode & 0444);
	if (uid)
		*uid = history->region->uid;
	if (gid)
		*gid = history->region->gid;
	return rtshm_node_name(dev);
}

static int rtshm_history_uevent(rtshm_uevent_device *dev,
				struct kobj_uevent_env *env)
{
	return rtshm_access_uevent(container_of(dev, const struct rtshm_history,
						dev)->region, env);
}

/* Process context: whoever gives back the last reference. */
static void rtshm_history_release(struct device *dev)
{
	struct rtshm_history *history = container_of(dev, typeof(*history), dev);

	rtshm_ring_free(history->ring);
	rtshm_minor_free(dev);
	rtshm_region_put(history->region);
	kfree(history);
}

static const struct device_type rtshm_history_type = {
	.name = "rtshm_history",
	.devnode = rtshm_history_devnode,
	.uevent = rtshm_history_uevent,
	.release = rtshm_history_release,
};

/**
 * rtshm_history_new() - let a region have a history
 * @region: The region, which has none.
 * @ring: What its ticks will fill; of the history from here on.
 * @fops: What the device node does.
 *
 * Process context. Return: 0 or an errno.
 */
int rtshm_history_new(struct rtshm_region *region, struct rtshm_ring *ring,
		      const struct file_operations *fops)
{
	struct rtshm_history *history;
	int err;

	history = kzalloc(sizeof(*history), GFP_KERNEL_ACCOUNT);
	if (!history) {
		rtshm_ring_free(ring);
		return -ENOMEM;
	}

	/* From here on the release undoes all of it. */
	device_initialize(&history->dev);
	history->dev.type = &rtshm_history_type;
	get_device(&region->dev);
	history->region = region;
	history->ring = ring;

	err = dev_set_name(&history->dev, "%s.samples", rtshm_name(region));
	if (err)
		goto err_put;
	err = rtshm_minor_get(&history->dev);
	if (err)
		goto err_put;

	cdev_init(&history->cdev, fops);
	history->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&history->cdev, &history->dev);
	if (err)
		goto err_dead;

	scoped_guard(raw_spinlock_irq, &region->lock)
		region->history = history;
	return 0;

err_dead:
	history->dead = true;
err_put:
	put_device(&history->dev);
	return err;
}

/*
 * rtshm_regions_lock held. From the next tick on the history has another ring, and
 * @ring is the one that it had; with NULL for another ring, nobody can open it any
 * more. -EBUSY if somebody has the history open.
 */
int rtshm_history_renew(struct rtshm_history *history, struct rtshm_ring **ring)
{
	struct rtshm_region *region = history->region;
	int err = 0;

	scoped_guard(raw_spinlock_irq, &region->lock) {
		if (history->readers)
			err = -EBUSY;
		else if (*ring)
			swap(history->ring, *ring);
		else
			history->dead = true;
	}
	return err;
}

/*
 * Process context. Nothing comes to the history any more; it may be NULL. No lock
 * held, or rtshm_regions_lock if nobody has it open.
 */
void rtshm_history_shut(struct rtshm_history *history)
{
	struct rtshm_region *region;

	if (!history)
		return;
	region = history->region;
	scoped_guard(raw_spinlock_irq, &region->lock) {
		WRITE_ONCE(history->dead, true);	/* who polls or reads */
		region->history = NULL;
		rtshm_sleepers_wake(history->ring);
	}
	cdev_device_del(&history->cdev, &history->dev);
	rtshm_wake_all(&region->recorded, EPOLLHUP | EPOLLIN | EPOLLRDNORM);
	put_device(&history->dev);
}
