// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drives rtshm_task.h for tests/guest/test_tasks.py, one command a write to its
 * parameter "run"; the errno of the call is the write's. Tasks are numbered.
 *
 *     add N REGION     remove N     many COUNT REGION
 *     large BYTES REGION     nameless REGION
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <rtshm_task.h>

#define TASKS	10

/* The record; task number N writes its number, and whether pair[] was one. */
struct probe {
	__s32	last;		/* number of the task that ran last */
	__s32	order;		/* base TASKS: the tasks of this tick, in order */
	__u64	tick;
	__u64	torn;		/* how often pair[] was not one */
	__u64	pair[2];
};

static ulong spin_ns;
module_param(spin_ns, ulong, 0644);
static int in_gone;	/* what rtshm_task_add() says in gone() */
module_param(in_gone, int, 0444);
static ulong gone;
module_param(gone, ulong, 0444);
static ulong ran;
module_param(ran, ulong, 0444);
static bool forget;
module_param(forget, bool, 0644);

static struct rtshm_task tasks[TASKS];
static char names[TASKS][8];

static void probe_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct probe __shm *probe = tick->record;
	s32 number = task - tasks;
	u64 pair[2];

	WRITE_ONCE(ran, ran + 1);
	if (rtshm_read_u64(&probe->tick) == tick->number)
		rtshm_write_s32(&probe->order,
				rtshm_read_s32(&probe->order) * TASKS + number);
	else
		rtshm_write_s32(&probe->order, number);
	rtshm_write_u64(&probe->tick, tick->number);
	rtshm_write_s32(&probe->last, number);
	rtshm_record_read(tick, offsetof(struct probe, pair), pair, sizeof(pair));
	if (pair[0] != pair[1])
		rtshm_write_u64(&probe->torn, rtshm_read_u64(&probe->torn) + 1);
	if (spin_ns)
		ndelay(spin_ns);
}

static void probe_empty(struct rtshm_task *task, const struct rtshm_tick *tick)
{
}

static void probe_gone(struct rtshm_task *task)
{
	gone++;
	in_gone = rtshm_task_add("default", task);
}

static int probe_many(unsigned int count, const char *region)
{
	static struct rtshm_task own[2];
	struct rtshm_task *task = &own[!strcmp(current->comm, "second")];
	int err = 0;

	memset(task, 0, sizeof(*task));
	task->name = task == own ? "first" : "second";
	task->owner = THIS_MODULE;
	task->tick = probe_empty;
	while (count-- && !err && !signal_pending(current)) {
		err = rtshm_task_add(region, task);
		if (!err)
			rtshm_task_remove(task);
		cond_resched();
	}
	return err;
}

static int probe_run(const char *value, const struct kernel_param *kp)
{
	char region[40] = "";
	unsigned int number;

	if (sscanf(value, "add %u %39s", &number, region) == 2 && number < TASKS)
		return rtshm_task_add(region, &tasks[number]);
	if (sscanf(value, "many %u %39s", &number, region) == 2)
		return probe_many(number, region);
	if (sscanf(value, "large %u %39s", &number, region) == 2) {
		struct rtshm_task large = {
			.name = tasks[0].name,
			.owner = THIS_MODULE,
			.record_bytes = number,
			.tick = probe_tick,
		};

		return rtshm_task_add(region, &large) ?: -EUCLEAN;
	}
	if (sscanf(value, "nameless %39s", region) == 1) {
		struct rtshm_task nameless = { .owner = THIS_MODULE, .tick = probe_tick };

		return rtshm_task_add(region, &nameless) ?: -EUCLEAN;
	}
	if (sscanf(value, "remove %u", &number) == 1 && number < TASKS) {
		rtshm_task_remove(&tasks[number]);
		return 0;
	}
	return -EDOM;
}

static const struct kernel_param_ops probe_ops = { .set = probe_run };
module_param_cb(run, &probe_ops, NULL, 0200);

static int __init probe_init(void)
{
	unsigned int i;

	for (i = 0; i < TASKS; i++) {
		scnprintf(names[i], sizeof(names[i]), "probe%u", i);
		tasks[i].name = names[i];
		tasks[i].owner = THIS_MODULE;
		tasks[i].record_bytes = sizeof(struct probe);
		tasks[i].tick = i == TASKS - 1 ? probe_empty : probe_tick;
		tasks[i].gone = probe_gone;
	}
	return 0;
}

static void __exit probe_exit(void)
{
	unsigned int i;

	for (i = 0; !forget && i < TASKS; i++)
		rtshm_task_remove(&tasks[i]);
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("Tasks for the tests of rtshm_task.h");
MODULE_LICENSE("GPL");
