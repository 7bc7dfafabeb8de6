// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread of a region, rtshm/<name>: everything after a tick whose length a user
 * controls. It wakes who polls, and prints.
 *
 * A tick only sets bits of region->pending and wakes the thread, which is a raw
 * operation on PREEMPT_RT too. Readers that sleep in read(2) do not wait for the
 * thread: see rtshm_ring_push(). The thread has the priority of a threaded
 * interrupt, SCHED_FIFO 50, if who made the region may have it; chrt(1) changes it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/poll.h>
#include <linux/sched/prio.h>
#include <linux/sched/signal.h>

#include "rtshm.h"

/* Entries of a wait queue that are woken with interrupts off. */
#define RTSHM_WAKE_BATCH	64

/* Entries of a wait queue after which the waker pauses. */
#define RTSHM_WAKE_PAUSE	1024

/* In region->line, with the value: a line is due. */
#define RTSHM_LINE		BIT_ULL(32)

static int rtshm_wake_nobody(struct wait_queue_entry *entry, unsigned int mode,
			     int flags, void *key)
{
	return 0;
}

/*
 * Process context, no lock held. Wakes all entries of a wait queue, as wake_up_poll()
 * does, but in batches: that function holds the lock of the queue, with interrupts
 * off, for as long as the queue is, and any reader may put tens of thousands of epoll
 * watches into it. The pause keeps the thread, whose priority is above that of the
 * processes, from occupying a cpu.
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

/* Any context. A line that is due is not printed any more. */
static void rtshm_line_withhold(struct rtshm_region *region)
{
	if (atomic64_read(&region->line) && atomic64_xchg(&region->line, 0))
		atomic_inc(&region->withheld);
}

/*
 * A tick, region->lock held. Has the thread print the value, if this mode of printing
 * has a line for this tick. Returns whether a line is due, of this tick or of one before that
 * the limit made wait. A line that is not printed by the next one is withheld.
 */
bool rtshm_line_set(struct rtshm_region *region, u32 print, s32 value)
{
	bool due = print == RTSHM_PRINT_MODE_EVERY_TICK;

	if (print == RTSHM_PRINT_MODE_OFF) {
		rtshm_line_withhold(region);
		return false;
	}
	if (print == RTSHM_PRINT_MODE_CHANGES)
		due = !test_and_set_bit(RTSHM_COMPARED, &region->pending) ||
		      value != region->compared_value;
	if (due) {
		region->compared_value = value;
		if (atomic64_xchg(&region->line, RTSHM_LINE | (u32)value))
			atomic_inc(&region->withheld);
	}
	return atomic64_read(&region->line);
}

/* Process context: the thread, or who removes the region. */
void rtshm_line_print_withheld(struct rtshm_region *region)
{
	int withheld = atomic_xchg(&region->withheld, 0);

	if (withheld)
		pr_info("%s: %d lines withheld\n", rtshm_name(region), withheld);
}

/* What is over the limit of lines stays due, and the next tick asks again. */
static void rtshm_line_print(struct rtshm_region *region)
{
	u64 line;

	if (!atomic64_read(&region->line) || !__ratelimit(&region->print_limit))
		return;
	line = atomic64_xchg(&region->line, 0);
	if (!line)	/* rtshm_line_withhold() */
		return;
	/* The notice is one of the second's lines, or waits for the next. */
	if (atomic_read(&region->withheld) && __ratelimit(&region->print_limit))
		rtshm_line_print_withheld(region);
	pr_info("%s: shared mem=%d\n", rtshm_name(region), (s32)line);
}

static void rtshm_report(struct rtshm_region *region)
{
	if (test_and_clear_bit(RTSHM_WAKE, &region->pending))
		rtshm_wake_all(&region->state_queue, EPOLLOUT | EPOLLWRNORM);
	/* Including those with EPOLLEXCLUSIVE: each may have another watermark. */
	if (test_and_clear_bit(RTSHM_WAKE_READERS, &region->pending))
		rtshm_wake_all(&region->samples_queue, EPOLLIN | EPOLLRDNORM);
	if (test_and_clear_bit(RTSHM_TELL_STOPPED, &region->pending))
		rtshm_tasks_print_stopped(region);
	rtshm_line_print(region);
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

	init_waitqueue_head(&region->state_queue);
	init_waitqueue_head(&region->samples_queue);
	ratelimit_state_init(&region->print_limit, HZ, 10);
	/* The region counts what it withholds: no notice of the library's own. */
	ratelimit_set_flags(&region->print_limit, RATELIMIT_MSG_ON_RELEASE);
	thread = kthread_create(rtshm_thread, region, "rtshm/%s", rtshm_name(region));
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* A member of the group gets a priority that he might have himself. */
	if (!region->member || rlimit(RLIMIT_RTPRIO) >= MAX_RT_PRIO / 2)
		sched_set_fifo(thread);
	region->thread = thread;
	wake_up_process(thread);
	return 0;
}

/* Process context. No tick wakes the thread any more. */
void rtshm_thread_stop(struct rtshm_region *region)
{
	kthread_stop(region->thread);
	rtshm_line_withhold(region);
}
