// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/rtshm/<name>.samples: the history of a region, sample after sample.
 *
 * Each open file has a position of its own and begins with the next sample. It holds
 * the ring that it began with; when the region is deleted or gets another ring, it
 * reads what is left of its own, and then the end. A reader holds the region's lock
 * to look where it is, and again to see whether that is still kept, not while it
 * copies.
 */

#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "rtshm.h"
#include "ring.h"

/* Readers of a region that its tick wakes itself, at most: a tick is bounded. */
#define RTSHM_SLEEPERS_MAX	8

/* One open file. */
struct rtshm_reader {
	struct rtshm_region	*region;	/* its node holds a reference */
	struct rtshm_ring	*ring;
	struct mutex		copying;	/* one read at a time; no wait is under it */

	/* Under the region's lock. */
	u64			next;
	u64			since_ns;	/* its last read; with wait_ns only */
	struct rtshm_watermark	watermark;
};

static int rtshm_samples_open(struct inode *inode, struct file *file)
{
	struct rtshm_region *region = rtshm_region_of(inode);
	struct rtshm_reader *reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);

	if (!reader)
		return -ENOMEM;
	reader->region = region;
	reader->watermark.samples = 1;
	mutex_init(&reader->copying);
	scoped_guard(raw_spinlock_irq, &region->lock) {
		reader->ring = region->ring;
		if (reader->ring) {
			kref_get(&reader->ring->kref);
			reader->next = reader->ring->head;
		}
	}
	if (!reader->ring) {
		kfree(reader);
		return -ENODEV;
	}
	file->private_data = reader;
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int rtshm_samples_release(struct inode *inode, struct file *file)
{
	struct rtshm_reader *reader = file->private_data;

	rtshm_ring_put(reader->ring);
	kfree(reader);
	return 0;
}

/* The region's lock held. Until when a reader waits for its watermark. */
static u64 rtshm_reader_until_ns(const struct rtshm_reader *reader)
{
	return reader->watermark.wait_ns ?
	       reader->since_ns + reader->watermark.wait_ns : U64_MAX;
}

/* The region's lock held. Has the tick that ends the wait of a poller wake it. */
static void rtshm_reader_arm(const struct rtshm_reader *reader, u64 at)
{
	struct rtshm_ring *ring = reader->ring;

	ring->wake_at = min(ring->wake_at, at);
	ring->wake_ns = min(ring->wake_ns, rtshm_reader_until_ns(reader));
}

/*
 * The region's lock held; the position or the watermark is another one, and time
 * counts from now. Edge-triggered epoll does not ask again after a short read, so
 * the tick that completes the watermark is armed here.
 */
static void rtshm_reader_restart(struct rtshm_reader *reader, u64 next)
{
	reader->next = next;
	if (reader->watermark.wait_ns)
		reader->since_ns = ktime_get_ns();
	rtshm_reader_arm(reader, next + reader->watermark.samples);
}

static loff_t rtshm_samples_llseek(struct file *file, loff_t offset, int whence)
{
	struct rtshm_reader *reader = file->private_data;
	struct rtshm_ring *ring = reader->ring;

	if (offset || (whence != SEEK_SET && whence != SEEK_END))
		return -EINVAL;
	guard(mutex)(&reader->copying);
	scoped_guard(raw_spinlock_irq, &reader->region->lock)
		rtshm_reader_restart(reader, whence == SEEK_END ? ring->head :
					     rtshm_ring_first(ring, 0));
	return 0;
}

/* The region's lock held. Has the ticks wake a sleeper, if there is room for one more. */
static bool rtshm_sleeper_add(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper)
{
	if (list_empty(&sleeper->list)) {
		if (ring->sleepers_count == RTSHM_SLEEPERS_MAX)
			return false;
		list_add_tail(&sleeper->list, &ring->sleepers);
		ring->sleepers_count++;
	}
	return true;
}

/* The region's lock held. */
static void rtshm_sleeper_remove(struct rtshm_ring *ring, struct rtshm_sleeper *sleeper)
{
	if (list_empty(&sleeper->list))
		return;
	list_del_init(&sleeper->list);
	ring->sleepers_count--;
}

/*
 * Whether there are as many samples as the watermark says, or @most, or any after
 * its time. If not, the tick that makes it so wakes @sleeper, or with NULL, or if
 * there is no room for a sleeper, the wait queue. All under the lock of the tick:
 * none falls between the look and the arming.
 */
static bool rtshm_reader_ready(struct rtshm_reader *reader, u32 most,
			       struct rtshm_sleeper *sleeper)
{
	struct rtshm_ring *ring = reader->ring;
	u64 first, until_ns;
	bool ready;

	scoped_guard(raw_spinlock_irq, &reader->region->lock) {
		u32 wanted = min(most, reader->watermark.samples);

		first = rtshm_ring_first(ring, reader->next);
		until_ns = rtshm_reader_until_ns(reader);
		ready = ring->head - first >= wanted ||
			(ring->head > first && until_ns != U64_MAX &&
			 ktime_get_ns() >= until_ns);
		if (ready && sleeper) {
			rtshm_sleeper_remove(ring, sleeper);
		} else if (!ready && sleeper && rtshm_sleeper_add(ring, sleeper)) {
			sleeper->wake_at = first + wanted;
			sleeper->wake_ns = until_ns;
		} else if (!ready) {
			rtshm_reader_arm(reader, first + wanted);
		}
	}
	return ready;
}

/*
 * Waits until rtshm_reader_ready() or the end of the ring: 0 or -ERESTARTSYS. The
 * tick itself wakes RTSHM_SLEEPERS_MAX readers, the thread of the region the others.
 */
static int rtshm_reader_wait(struct rtshm_reader *reader, u32 most)
{
	struct rtshm_region *region = reader->region;
	struct rtshm_sleeper sleeper = { .task = current };
	struct rtshm_ring *ring = reader->ring;
	int err = 0;

	INIT_LIST_HEAD(&sleeper.list);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (rtshm_reader_ready(reader, most, &sleeper) || READ_ONCE(ring->dead))
			break;
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		if (list_empty(&sleeper.list)) {
			__set_current_state(TASK_RUNNING);
			return wait_event_interruptible(region->samples_queue,
							rtshm_reader_ready(reader, most, NULL) ||
							READ_ONCE(ring->dead));
		}
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	if (!list_empty(&sleeper.list)) {
		scoped_guard(raw_spinlock_irq, &region->lock)
			rtshm_sleeper_remove(ring, &sleeper);
	}
	return err;
}

/*
 * reader->copying held. Copies up to @max samples that follow one another in the
 * ring, from the next that is kept on; once @begun, only if that is the next of all.
 * Returns how many, 0 if there are none, or -EFAULT.
 *
 * A tick may overwrite them meanwhile, under the region's lock. If it comes before
 * the look after the copy, the look sees so. If it comes after, it comes after the
 * copy, too: nothing before an unlock is ordered behind it.
 */
static int rtshm_reader_copy(struct rtshm_reader *reader, struct iov_iter *to,
			     u32 max, bool begun)
{
	struct rtshm_region *region = reader->region;
	struct rtshm_ring *ring = reader->ring;
	const void *samples;
	size_t copied;
	u64 first, kept;
	u32 count;

	for (;; max = max_t(u32, count / 2, 1)) {
		scoped_guard(raw_spinlock_irq, &region->lock) {
			first = rtshm_ring_first(ring, reader->next);
			count = rtshm_ring_run(ring, first, &samples);
		}
		/* What was lost is between two reads, not in one. */
		if (!count || (begun && first != reader->next))
			return 0;
		count = min(count, max);
		/* A tick may store there meanwhile: see above. */
		copied = data_race(copy_to_iter(samples,
						(size_t)count * ring->stride, to));
		scoped_guard(raw_spinlock_irq, &region->lock) {
			kept = rtshm_ring_first(ring, first);
			if (kept == first) {
				/* A sample that is not whole comes again. */
				count = copied / ring->stride;
				rtshm_reader_restart(reader, first + count);
			}
		}
		if (kept == first)
			break;
		/* Overtaken. Again with fewer, which a tick overtakes less easily. */
		iov_iter_revert(to, copied);
	}
	iov_iter_revert(to, copied % ring->stride);
	return count ?: -EFAULT;
}

/*
 * Copies what there is, as far as @to has room. With @nowait, -EAGAIN while another
 * read of the same file copies.
 */
static ssize_t rtshm_reader_copy_all(struct rtshm_reader *reader, struct iov_iter *to,
				     bool nowait)
{
	u32 stride = reader->ring->stride;
	/* About a page at once, to be done before the next tick. */
	size_t most = max_t(size_t, PAGE_SIZE / stride, 1);
	size_t room = iov_iter_count(to) / stride;
	ssize_t done = 0;
	int count;

	if (nowait) {
		if (!mutex_trylock(&reader->copying))
			return -EAGAIN;
	} else if (mutex_lock_interruptible(&reader->copying)) {
		return -ERESTARTSYS;
	}
	while (room) {
		count = rtshm_reader_copy(reader, to, min(room, most), done);
		if (count <= 0) {
			done = done ?: count;
			break;
		}
		done += (ssize_t)count * stride;
		room -= count;
	}
	mutex_unlock(&reader->copying);
	return done;
}

static ssize_t rtshm_samples_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct rtshm_reader *reader = iocb->ki_filp->private_data;
	struct rtshm_ring *ring = reader->ring;
	size_t room = min_t(size_t, iov_iter_count(to) / ring->stride, U32_MAX);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	bool block = !nowait && !(iocb->ki_filp->f_flags & O_NONBLOCK);
	bool dead = false;
	ssize_t done;
	int err;

	if (!room)
		return iov_iter_count(to) ? -EINVAL : 0;
	do {
		if (block) {
			err = rtshm_reader_wait(reader, room);
			if (err)
				return err;
		} else if (!rtshm_reader_ready(reader, 1, NULL) && !READ_ONCE(ring->dead)) {
			return -EAGAIN;
		}
		/* No tick is after it: if there is nothing then, that is the end. */
		dead = READ_ONCE(ring->dead);
		done = rtshm_reader_copy_all(reader, to, nowait);
		/* Nothing: another read of the same file was quicker. */
	} while (!done && !dead);
	return done;
}

static __poll_t rtshm_samples_poll(struct file *file, poll_table *wait)
{
	struct rtshm_reader *reader = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &reader->region->samples_queue, wait);
	/* rtshm_ring_replace() sets dead before it wakes the queue. */
	if (READ_ONCE(reader->ring->dead))
		events |= EPOLLHUP;
	if (rtshm_reader_ready(reader, events ? 1 : U32_MAX, NULL))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
}

static long rtshm_samples_ioctl(struct file *file, unsigned int command,
				unsigned long argument)
{
	struct rtshm_reader *reader = file->private_data;
	void __user *from = (void __user *)argument;
	struct rtshm_watermark watermark;

	if (command == RTSHM_IOC_INFO)
		return rtshm_region_info(reader->region, reader->ring->stride, from);
	if (command != RTSHM_IOC_WATERMARK)
		return -ENOTTY;
	if (copy_from_user(&watermark, from, sizeof(watermark)))
		return -EFAULT;
	if (watermark.reserved)
		return -EINVAL;
	if (!watermark.samples || watermark.samples > max(reader->ring->depth / 2, 1U) ||
	    watermark.wait_ns > RTSHM_PERIOD_MAX_NS)
		return -ERANGE;
	/* Pollers that wait already use the new one. */
	scoped_guard(raw_spinlock_irq, &reader->region->lock) {
		reader->watermark = watermark;
		rtshm_reader_restart(reader, reader->next);
	}
	return 0;
}

const struct file_operations rtshm_samples_fops = {
	.owner = THIS_MODULE,
	.open = rtshm_samples_open,
	.release = rtshm_samples_release,
	.llseek = rtshm_samples_llseek,
	.read_iter = rtshm_samples_read,
	.splice_read = copy_splice_read,
	.poll = rtshm_samples_poll,
	.unlocked_ioctl = rtshm_samples_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
