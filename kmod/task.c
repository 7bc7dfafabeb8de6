// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tasks of a region: what a tick runs for other modules, and which task is on
 * which region. See rtshm_task.h.
 *
 * rtshm_regions_lock guards which task is on which region. A task that is added holds
 * a reference to this module. It holds none to its own, whose exit has to remove it.
 *
 * A tick holds region->lock while its tasks run. After a task was taken
 * from the list under this lock, it does not run any more. No write(2) comes in
 * between, and a read(2) copies again: see copy.c.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "rtshm.h"
#include "tick.h"

/* Of a region: a netlink message has room for this many. */
#define RTSHM_TASKS_MAX	8

/* Hard interrupt, region->lock held. */
static void rtshm_task_count(struct rtshm_region *region, struct rtshm_task *task,
			     u64 period_ns, u64 time_ns)
{
	u64 budget_ns = region->config.set.task_budget_ns;
	u32 most = region->config.set.task_long_max;

	task->ticks++;
	if (time_ns > task->time_max_ns)
		task->time_max_ns = time_ns;
	if (budget_ns && time_ns > budget_ns)
		task->overruns++;
	if (!period_ns || time_ns <= period_ns / 2) {
		task->long_in_row = 0;
	} else if (++task->long_in_row >= most && most) {
		task->stopped = true;
		set_bit(RTSHM_TELL_STOPPED, &region->pending);
	}
}

/*
 * Hard interrupt, region->lock held and region->sequence odd. Runs the tasks in the
 * order of adding. The clock is read once a task: each begins where the one before
 * ended. Returns CLOCK_MONOTONIC at the end of the last, or when the tick began.
 */
ktime_t rtshm_tasks_run(struct rtshm_region *region, const struct rtshm_tick *tick)
{
	u64 begin_ns = tick->time_ns, end_ns = begin_ns;
	struct rtshm_task *task;

	list_for_each_entry(task, &region->tasks, list) {
		if (task->stopped)
			continue;
		task->tick(task, tick);
		end_ns = ktime_get();
		rtshm_task_count(region, task, tick->period_ns, end_ns - begin_ns);
		begin_ns = end_ns;
	}
	return end_ns;
}

/* The region's thread. Nothing is printed under the lock that a tick takes. */
void rtshm_tasks_print_stopped(struct rtshm_region *region)
{
	char name[RTSHM_NAME_MAX + 1];
	struct rtshm_task *task;
	u32 ticks;

	do {
		ticks = 0;
		scoped_guard(raw_spinlock_irq, &region->lock) {
			list_for_each_entry(task, &region->tasks, list) {
				if (!task->stopped || task->told)
					continue;
				task->told = true;
				strscpy(name, task->name, sizeof(name));
				ticks = task->long_in_row;
				break;
			}
		}
		if (ticks)
			pr_warn("%s: task %s stopped: longer than half the period %u ticks in a row\n",
				rtshm_name(region), name, ticks);
	} while (ticks);
}

/* rtshm_regions_lock held. Afterwards the task does not run and never will. */
static void rtshm_task_detach(struct rtshm_task *task)
{
	struct rtshm_region *region = task->region;

	scoped_guard(raw_spinlock_irq, &region->lock)
		list_del(&task->list);
	WRITE_ONCE(task->region, NULL);	/* rtshm_task_kick() */
	module_put(THIS_MODULE);
}

/* The thread in a task's gone(), under rtshm_regions_lock: it must not come back here. */
static const struct task_struct *rtshm_gone_caller;

/* rtshm_regions_lock held. The region is stopped. */
void rtshm_tasks_end(struct rtshm_region *region)
{
	struct rtshm_task *task, *next;

	WRITE_ONCE(rtshm_gone_caller, current);	/* rtshm_in_gone() */
	list_for_each_entry_safe(task, next, &region->tasks, list) {
		rtshm_task_detach(task);
		if (task->gone)
			task->gone(task);
	}
	WRITE_ONCE(rtshm_gone_caller, NULL);
}

/* Only the thread that runs gone() can find itself here, so no lock is needed. */
static bool rtshm_in_gone(void)
{
	return READ_ONCE(rtshm_gone_caller) == current;	/* rtshm_tasks_end() */
}

/* rtshm_regions_lock held. 0 if the task may be added to the region. */
static int rtshm_task_check(const struct rtshm_region *region,
			    const struct rtshm_task *task)
{
	struct rtshm_task *other;
	unsigned int count = 0;

	if (task->region)
		return -EBUSY;
	if (task->layout_bytes > region->config.size - sizeof(struct rtshm_word))
		return -ERANGE;
	list_for_each_entry(other, &region->tasks, list) {
		if (!strcmp(other->name, task->name))
			return -EEXIST;
		count++;
	}
	return count < RTSHM_TASKS_MAX ? 0 : -ENOSPC;
}

/* The task does not run: it is not added yet, or region->lock is held. Its code is new. */
void rtshm_task_begin(struct rtshm_task *task)
{
	task->time_max_ns = 0;
	task->overruns = 0;
	task->long_in_row = 0;
	task->stopped = false;
	task->told = false;
}

/**
 * rtshm_task_add() - run a task in each tick of a region
 * @region_name: Name of the region.
 * @task: The task, which is nowhere else.
 *
 * From the next tick on, after the tasks that the region has. Process context.
 *
 * Return: 0, or
 *
 * * -EINVAL: no tick(), or a name that no region could have.
 * * -ENOENT: no such region.
 * * -EBUSY: the task is added already.
 * * -EEXIST: another task of the region has its name.
 * * -ERANGE: the region has fewer than layout_bytes behind its first eight.
 * * -ENOSPC: the region has the maximum number of tasks.
 * * -EDEADLK: called from a task's gone().
 */
int rtshm_task_add(const char *region_name, struct rtshm_task *task)
{
	struct rtshm_region *region;
	int err;

	if (!task->tick || !task->name || !rtshm_name_ok(task->name))
		return -EINVAL;
	if (rtshm_in_gone())
		return -EDEADLK;

	guard(mutex)(&rtshm_regions_lock);
	region = rtshm_region_find(region_name);
	if (!region)
		return -ENOENT;
	err = rtshm_task_check(region, task);
	if (err)
		return err;

	task->ticks = 0;
	rtshm_task_begin(task);
	WRITE_ONCE(task->region, region);	/* rtshm_task_kick() */
	/* The caller needs this module, which so is there to be held. */
	__module_get(THIS_MODULE);
	scoped_guard(raw_spinlock_irq, &region->lock)
		list_add_tail(&task->list, &region->tasks);
	rtshm_netlink_notify(region, RTSHM_CMD_REGION_SET_NTF);
	return 0;
}
EXPORT_SYMBOL_GPL(rtshm_task_add);

/**
 * rtshm_task_remove() - take a task from its region
 * @task: A task that was added once, or never.
 *
 * When it returns, the task does not run and never will, and its gone() neither.
 * Process context, not from within gone(), which comes after the removal.
 */
void rtshm_task_remove(struct rtshm_task *task)
{
	struct rtshm_region *region;

	if (WARN_ON_ONCE(rtshm_in_gone()))
		return;
	guard(mutex)(&rtshm_regions_lock);
	region = task->region;
	if (!region)
		return;
	rtshm_task_detach(task);
	/* Alive: a region takes its tasks along when it goes. */
	rtshm_netlink_notify(region, RTSHM_CMD_REGION_SET_NTF);
}
EXPORT_SYMBOL_GPL(rtshm_task_remove);

/**
 * rtshm_task_kick() - tick now
 * @task: A task of a region without a period.
 *
 * The region ticks once, before this returns: what a tick does, its tasks with it, is
 * done here, with interrupts off. Any context, a hard interrupt above all, but not a
 * tick, and not an NMI.
 *
 * Return: 0, or
 *
 * * -EINVAL: the region has a period.
 * * -ENODEV: the task is not added, or its region was deleted.
 */
int rtshm_task_kick(struct rtshm_task *task)
{
	struct rtshm_region *region;

	guard(irqsave)();	/* kfree_rcu() of the region waits for it */
	region = READ_ONCE(task->region);
	return region ? rtshm_kick(region) : -ENODEV;
}
EXPORT_SYMBOL_GPL(rtshm_task_kick);

/**
 * rtshm_tick_shift() - move the ticks to come
 * @tick: The tick that runs.
 * @by_ns: How much later they are due; negative: earlier.
 *
 * The next tick and all after it: their distance stays the period. What the tasks of a
 * tick ask for adds up, and comes to an eighth of the period at most.
 */
void rtshm_tick_shift(const struct rtshm_tick *tick, s64 by_ns)
{
	struct rtshm_region *region = tick->region;
	s64 most_ns = tick->period_ns / 8;

	by_ns = clamp(by_ns, -most_ns, most_ns);
	region->shift_ns = clamp(region->shift_ns + by_ns, -most_ns, most_ns);
}
EXPORT_SYMBOL_GPL(rtshm_tick_shift);
