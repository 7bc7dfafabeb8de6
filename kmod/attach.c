// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which task is on which region: adding, removing, and removing for a module
 * that goes. See rtshm_task.h.
 *
 * rtshm_regions_lock guards it. A task that is added holds a reference to this
 * module. It holds none to its own, whose exit could not remove it then; of a
 * module that goes without, rtshm_owner_notify() removes it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/notifier.h>

#include "rtshm.h"

/* rtshm_regions_lock held. 0 if the task may be added to the region. */
static int rtshm_task_check(const struct rtshm_region *region,
			    const struct rtshm_task *task)
{
	struct rtshm_task *other;

	if (task->region)
		return -EBUSY;
	if (region->tasks_count >= RTSHM_TASKS_MAX)
		return -ENOSPC;
	if (task->record_bytes > region->size - sizeof(struct rtshm_word))
		return -ERANGE;
	list_for_each_entry(other, &region->tasks, list)
		if (!strcmp(other->name, task->name))
			return -EEXIST;
	return 0;
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
 * * -EINVAL: no tick(), no owner, or a name that no region could have.
 * * -ENODEV: the owner is being unloaded.
 * * -ENOENT: there is no such region.
 * * -EBUSY: the task is added already.
 * * -EEXIST: another task of the region has its name.
 * * -ERANGE: the region has fewer than record_bytes behind its first eight.
 * * -ENOSPC: the region has as many tasks as it may.
 * * -EDEADLK: called from a task's gone().
 */
int rtshm_task_add(const char *region_name, struct rtshm_task *task)
{
	struct rtshm_region *region;
	int err;

	if (!task->tick || !task->owner || !task->name ||
	    !rtshm_name_ok(task->name))
		return -EINVAL;
	if (rtshm_in_gone())
		return -EDEADLK;

	guard(mutex)(&rtshm_regions_lock);
	/* Going: rtshm_owner_goes(), which waits here, would not find the task. */
	if (!module_is_live(task->owner))
		return -ENODEV;
	region = rtshm_region_find(region_name);
	if (!region)
		return -ENOENT;
	err = rtshm_task_check(region, task);
	if (err)
		return err;

	task->ticks = 0;
	task->time_max_ns = 0;
	task->overruns = 0;
	task->long_in_row = 0;
	task->stopped = false;
	task->told = false;
	rtshm_task_attach(region, task);
	rtshm_regions_changed();
	rtshm_netlink_changed(region);
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
	rtshm_regions_changed();
	rtshm_netlink_changed(region);
}
EXPORT_SYMBOL_GPL(rtshm_task_remove);

/* What a module leaves behind, whether its exit forgot it or its init failed. */
static void rtshm_owner_goes(const struct module *owner)
{
	struct rtshm_task *task, *next;
	struct rtshm_region *region;

	guard(mutex)(&rtshm_regions_lock);
	list_for_each_entry(region, &rtshm_regions, list) {
		list_for_each_entry_safe(task, next, &region->tasks, list) {
			if (task->owner != owner)
				continue;
			pr_warn("%s: task %s removed: its module goes without\n",
				rtshm_name(region), task->name);
			rtshm_task_detach(task);
			rtshm_regions_changed();
			rtshm_netlink_changed(region);
		}
	}
}

/* Process context, after the exit of the module and before its memory goes. */
static int rtshm_owner_notify(struct notifier_block *block, unsigned long state,
			      void *module)
{
	if (state == MODULE_STATE_GOING)
		rtshm_owner_goes(module);
	return NOTIFY_OK;
}

static struct notifier_block rtshm_owner_block = {
	.notifier_call = rtshm_owner_notify,
};

int __init rtshm_tasks_init(void)
{
	return register_module_notifier(&rtshm_owner_block);
}

void rtshm_tasks_exit(void)
{
	unregister_module_notifier(&rtshm_owner_block);
}
