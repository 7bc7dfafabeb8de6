// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread of a region, rtshm/<name>: everything after a tick whose length a
 * user controls. It wakes who polls, and prints.
 *
 * A tick only sets bits of region->pending and wakes the thread, which is a raw
 * operation on PREEMPT_RT too. Readers that sleep in read(2) do not wait for the
 * thread: the tick wakes them itself, see rtshm_ring_push(). The thread has the
 * priority of a threaded interrupt, SCHED_FIFO 50; chrt(1) changes it.
 */

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/poll.h>
#include <linux/sched.h>

#include "rtshm.h"

/* Entries of a wait queue that are woken with interrupts off. */
#define RTSHM_WAKE_BATCH	64

/* Entries of a wait queue after which the waker pauses. */
#define RTSHM_WAKE_PAUSE	1024

static int rtshm_wake_nobody(struct wait_queue_entry *entry, unsigned int mode,
			     int flags, void *key)
{
	return 0;
}

/*
 * Process context, no lock held. Wakes all entries of a wait queue, as
 * wake_up_poll() does, but in batches: that function holds the lock of the queue,
 * with interrupts off, for as long as the queue is, and any reader may put tens of
 * thousands of epoll watches into it. The pause keeps the thread, whose priority
 * is above that of the processes, from occupying a cpu for them.
 *
 * The walk is from the front to what was the end when it began. Entries that are
 * added meanwhile are outside: they find by themselves what they would be woken for.
 */
void rtshm_wake_all(struct wait_queue_head *queue, __poll_t events)
{
	struct wait_queue_entry here = { .func = rtshm_wake_nobody };
	struct wait_queue_entry end = { .func = rtshm_wake_nobody };
	struct wait_queue_entry *entry;
	unsigned int woken = 0;

	spin_lock_irq(&queue->lock);
	list_add(&here.entry, &queue->head);
	list_add_tail(&end.entry, &queue->head);
	while ((entry = list_next_entry(&here, entry)) != &end) {
		/* First, since the entry may remove itself. */
		list_move(&here.entry, &entry->entry);
		entry->func(entry, TASK_NORMAL, 0, poll_to_key(events));
		if (++woken % RTSHM_WAKE_BATCH)
			continue;
		spin_unlock_irq(&queue->lock);
		if (woken % RTSHM_WAKE_PAUSE)
			cond_resched();
		else
			/* A tick that wakes the thread does not end it. */
			usleep_range(1000, 2000);
		spin_lock_irq(&queue->lock);
	}
	list_del(&here.entry);
	list_del(&end.entry);
	spin_unlock_irq(&queue->lock);
}

static void rtshm_report(struct rtshm_region *region)
{
	if (test_and_clear_bit(RTSHM_WAKE, &region->pending))
		rtshm_wake_all(&region->taken, EPOLLOUT | EPOLLWRNORM);
	/* Including those with EPOLLEXCLUSIVE: each may have another watermark. */
	if (test_and_clear_bit(RTSHM_WAKE_READERS, &region->pending))
		rtshm_wake_all(&region->recorded, EPOLLIN | EPOLLRDNORM);
	if (test_and_clear_bit(RTSHM_TELL_STOPPED, &region->pending))
		rtshm_tasks_tell_stopped(region);
	rtshm_print(region);
}

static int rtshm_thread(void *data)
{
	struct rtshm_region *region = data;

	while (!kthread_should_stop()) {
		/* Before the look at the bit: rtshm_thread_wake() sets it first. */
		set_current_state(TASK_IDLE);
		if (!test_and_clear_bit(RTSHM_REPORT, &region->pending) &&
		    !kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
		rtshm_report(region);
	}
	return 0;
}

/* Hard interrupt. */
void rtshm_thread_wake(struct rtshm_region *region)
{
	set_bit(RTSHM_REPORT, &region->pending);
	wake_up_process(region->thread);
}

/* Process context. 0 or an errno; -EINTR if the caller is killed. */
int rtshm_thread_start(struct rtshm_region *region)
{
	struct task_struct *thread;

	thread = kthread_create(rtshm_thread, region, "rtshm/%s",
				rtshm_name(region));
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	sched_set_fifo(thread);
	region->thread = thread;
	wake_up_process(thread);
	return 0;
}

/* Process context. No tick wakes the thread any more. */
void rtshm_thread_stop(struct rtshm_region *region)
{
	kthread_stop(region->thread);
}
