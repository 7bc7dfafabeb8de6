// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/rtshm/<name>.samples: the history of a region, sample after sample.
 *
 * Each open file has a position of its own and begins with the next sample;
 * lseek(fd, 0, SEEK_SET) goes to the oldest that is kept, SEEK_END to the next
 * again. read gives whole samples, and the oldest kept to who was too slow. When
 * the region is deleted, what is there can still be read; then comes the end.
 */

#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "rtshm.h"

/* Of one open file. */
struct rtshm_reader {
	struct rtshm_history	*history;
	struct mutex		copying;	/* one read at a time; no wait is under it */

	/* Under the region's lock. */
	u64			next;
	struct rtshm_watermark	watermark;
	u64			waits_since_ns;	/* 0: not since its last read */
};

static int rtshm_sample_open(struct inode *inode, struct file *file)
{
	struct rtshm_history *history = container_of(inode->i_cdev,
						     typeof(*history), cdev);
	struct rtshm_reader *reader;
	bool dead;

	reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	if (!reader)
		return -ENOMEM;
	reader->history = history;
	reader->watermark.samples = 1;
	mutex_init(&reader->copying);

	/* The depth does not change under a reader: rtshm_history_renew(). */
	scoped_guard(raw_spinlock_irq, &history->region->lock) {
		dead = history->dead;
		if (!dead) {
			history->readers++;
			reader->next = history->ring->head;
		}
	}
	if (dead) {
		kfree(reader);
		return -ENODEV;
	}
	file->private_data = reader;
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int rtshm_sample_release(struct inode *inode, struct file *file)
{
	struct rtshm_reader *reader = file->private_data;

	scoped_guard(raw_spinlock_irq, &reader->history->region->lock)
		reader->history->readers--;
	kfree(reader);
	return 0;
}

/*
 * The region's lock held; the position is another one. Edge-triggered epoll, which does not
 * ask again after a short read, is woken by the tick that makes the samples after
 * it as many as the watermark says. If nobody polls, that tick wakes nobody.
 */
static void rtshm_reader_rearm(const struct rtshm_reader *reader)
{
	const struct rtshm_watermark *watermark = &reader->watermark;
	struct rtshm_ring *ring = reader->history->ring;

	ring->wake_at = min(ring->wake_at, reader->next + watermark->samples);
	if (watermark->wait_ns)
		ring->wake_ns = min(ring->wake_ns, ktime_get_ns() + watermark->wait_ns);
}

static loff_t rtshm_sample_llseek(struct file *file, loff_t offset, int whence)
{
	struct rtshm_reader *reader = file->private_data;
	struct rtshm_history *history = reader->history;

	if (offset || (whence != SEEK_SET && whence != SEEK_END))
		return -EINVAL;
	guard(mutex)(&reader->copying);
	scoped_guard(raw_spinlock_irq, &history->region->lock) {
		reader->next = whence == SEEK_END ? history->ring->head :
			       rtshm_ring_first(history->ring, 0);
		rtshm_reader_rearm(reader);
	}
	return 0;
}

/*
 * Whether there are as many samples as the watermark says, or @most, or any after
 * its time. If not, the tick that makes it so wakes @sleeper; or the wait queue,
 * with NULL or if there is no room for another sleeper. All under the lock of the
 * tick: none falls between the look and the arming.
 */
static bool rtshm_reader_ready(struct rtshm_reader *reader, u32 most,
			       struct rtshm_sleeper *sleeper)
{
	struct rtshm_region *region = reader->history->region;
	struct rtshm_ring *ring = reader->history->ring;
	u64 until_ns = U64_MAX, now_ns = 0;
	bool ready;

	scoped_guard(raw_spinlock_irq, &region->lock) {
		u32 wanted = min(most, reader->watermark.samples);
		u64 first = rtshm_ring_first(ring, reader->next);
		u64 there = ring->head - first;

		if (reader->watermark.wait_ns) {
			now_ns = ktime_get_ns();
			/* Until the next read, so that it finds what poll said. */
			if (!reader->waits_since_ns)
				reader->waits_since_ns = now_ns;
			until_ns = reader->waits_since_ns + reader->watermark.wait_ns;
		}

		ready = there >= wanted || (there && now_ns >= until_ns);
		if (ready && sleeper) {
			rtshm_sleeper_remove(ring, sleeper);
		} else if (!ready && sleeper && rtshm_sleeper_add(ring, sleeper)) {
			rtshm_sleeper_arm(sleeper, first + wanted, until_ns);
		} else if (!ready) {
			ring->wake_at = min(ring->wake_at, first + wanted);
			ring->wake_ns = min(ring->wake_ns, until_ns);
		}
	}
	return ready;
}

/*
 * Waits until rtshm_reader_ready() or the end of the history: 0 or -ERESTARTSYS.
 * A reader among the first RTSHM_SLEEPERS_MAX is woken by the tick itself, any
 * other one by the thread of the region.
 */
static int rtshm_reader_wait(struct rtshm_reader *reader, u32 most)
{
	struct rtshm_history *history = reader->history;
	struct rtshm_region *region = history->region;
	struct rtshm_sleeper sleeper = { .task = current };
	int err = 0;

	INIT_LIST_HEAD(&sleeper.list);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (rtshm_reader_ready(reader, most, &sleeper) ||
		    READ_ONCE(history->dead))
			break;
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		if (list_empty(&sleeper.list)) {
			__set_current_state(TASK_RUNNING);
			return wait_event_interruptible(region->recorded,
							rtshm_reader_ready(reader, most, NULL) ||
							READ_ONCE(history->dead));
		}
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	if (!list_empty(&sleeper.list)) {
		scoped_guard(raw_spinlock_irq, &region->lock)
			rtshm_sleeper_remove(history->ring, &sleeper);
	}
	return err;
}

/*
 * reader->copying held. Copy up to @max samples that lie one behind the other in
 * the ring, from the next that is kept on; once @begun, only if that is the next
 * of all. How many, 0 if there are none, or -EFAULT.
 *
 * A tick may put others in their place meanwhile, under the region's lock. If it
 * comes before the look after the copy, the look sees so. If it comes after, it
 * comes after the copy, too: nothing before an unlock is ordered behind it.
 */
static int rtshm_reader_copy(struct rtshm_reader *reader, struct iov_iter *to,
			     u32 max, bool begun)
{
	struct rtshm_region *region = reader->history->region;
	struct rtshm_ring *ring = reader->history->ring;
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
				/* A sample that did not get there whole comes again. */
				count = copied / ring->stride;
				reader->next = first + count;
				reader->waits_since_ns = 0;
				rtshm_reader_rearm(reader);
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
 * What there is, as far as @to has room; 0 if there is nothing. With @nowait,
 * -EAGAIN while another read of the same file copies.
 */
static ssize_t rtshm_reader_copy_all(struct rtshm_reader *reader, struct iov_iter *to,
				     bool nowait)
{
	u32 stride = reader->history->ring->stride;
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

static ssize_t rtshm_sample_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct rtshm_reader *reader = iocb->ki_filp->private_data;
	struct rtshm_history *history = reader->history;
	size_t room = iov_iter_count(to) / history->ring->stride;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	bool block = !nowait && !(iocb->ki_filp->f_flags & O_NONBLOCK);
	bool dead = false;
	ssize_t done;
	int err;

	if (!iov_iter_count(to))
		return 0;
	if (!room)
		return -EINVAL;
	room = min_t(size_t, room, U32_MAX);
	do {
		if (block) {
			err = rtshm_reader_wait(reader, room);
			if (err)
				return err;
		} else if (!rtshm_reader_ready(reader, 1, NULL) && !READ_ONCE(history->dead)) {
			return -EAGAIN;
		}
		/* No tick is after it: if there is nothing then, that is the end. */
		dead = READ_ONCE(history->dead);
		done = rtshm_reader_copy_all(reader, to, nowait);
		/* Nothing: another read of the same file was quicker. */
	} while (!done && !dead);
	return done;
}

static __poll_t rtshm_sample_poll(struct file *file, poll_table *wait)
{
	struct rtshm_reader *reader = file->private_data;
	struct rtshm_history *history = reader->history;
	__poll_t events = 0;

	poll_wait(file, &history->region->recorded, wait);
	/* rtshm_history_shut() sets dead before it wakes the queue. */
	if (READ_ONCE(history->dead))
		events |= EPOLLHUP;
	if (rtshm_reader_ready(reader, events ? 1 : U32_MAX, NULL))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
}

static long rtshm_sample_ioctl(struct file *file, unsigned int command,
			       unsigned long argument)
{
	struct rtshm_reader *reader = file->private_data;
	struct rtshm_watermark watermark;

	if (command == RTSHM_IOC_INFO)
		return rtshm_region_info(reader->history->region,
					 (void __user *)argument);
	if (command != RTSHM_IOC_WATERMARK)
		return -ENOTTY;
	if (copy_from_user(&watermark, (void __user *)argument, sizeof(watermark)))
		return -EFAULT;
	if (watermark.reserved)
		return -EINVAL;
	if (!watermark.samples ||
	    watermark.samples > max(reader->history->ring->depth / 2, 1U) ||
	    watermark.wait_ns > RTSHM_PERIOD_MAX_NS)
		return -ERANGE;
	scoped_guard(raw_spinlock_irq, &reader->history->region->lock) {
		reader->watermark = watermark;
		reader->waits_since_ns = 0;
		/* Who polls already waits by the new one. */
		rtshm_reader_rearm(reader);
	}
	return 0;
}

const struct file_operations rtshm_sample_fops = {
	.owner = THIS_MODULE,
	.open = rtshm_sample_open,
	.release = rtshm_sample_release,
	.llseek = rtshm_sample_llseek,
	.read_iter = rtshm_sample_read,
	.splice_read = copy_splice_read,
	.poll = rtshm_sample_poll,
	.unlocked_ioctl = rtshm_sample_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
