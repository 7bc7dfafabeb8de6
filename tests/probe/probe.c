// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drives rtshm_task.h for tests/module/test_tasks.py, one command a write to its
 * parameter "run"; the errno of the call is the write's. Tasks are numbered.
 *
 *     add N REGION     remove N     many COUNT REGION
 *     large BYTES REGION     nameless REGION     kick N COUNT     interrupt COUNT
 *     off NS     work NS: keeps interrupts off, in the call or in a worker of this cpu
 *
 * And it is a driver that holds memory, for tests/module/test_raw_memory.py: that
 * at "hold", which is of "hold_bytes".
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/ioport.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <rtshm_task.h>

#include "compat.h"

#define TASKS	10
#define EMPTY	9	/* does nothing at all */
#define COPIES	8	/* copies what belongs together, both ways */
#define WORDS	128

/* The record. */
struct probe {
	__s32	last;		/* number of the task that ran last */
	__s32	order;		/* base TASKS: the tasks of this tick, in order */
	__u64	tick;
	__u64	torn;		/* how often given[] was not all the same */
	__u64	given[WORDS];	/* by user space, all the same */
	__u64	made[WORDS];	/* by the task, all the tick's number */
};

static ulong spin_ns;
module_param(spin_ns, ulong, 0644);
static int in_gone;	/* what rtshm_task_add() says in gone() */
module_param(in_gone, int, 0444);
static ulong gone;
module_param(gone, ulong, 0444);
static ulong ran;
module_param(ran, ulong, 0444);
static ulong late;	/* runs of a task that was removed */
module_param(late, ulong, 0444);
static ulong hold;
module_param(hold, ulong, 0444);
static ulong hold_bytes;
module_param(hold_bytes, ulong, 0444);
static bool hold_idle;	/* not busy, as drivers/pnp/system.c has it */
module_param(hold_idle, bool, 0444);
static struct resource *held;

static long shift_ns;	/* what each tick of probe_tick() asks for */
module_param(shift_ns, long, 0644);
static int kicked;	/* what rtshm_task_kick() said last */
module_param(kicked, int, 0444);
static ulong handled;	/* interrupts of the timer that kicks */
module_param(handled, ulong, 0444);
static ulong handled_ns;	/* sum, from when each was due to its tick or handler */
module_param(handled_ns, ulong, 0444);

static char *prefix = "probe";	/* of the tasks' names */
module_param(prefix, charp, 0444);

static struct rtshm_task tasks[TASKS];
static char names[TASKS][32];

/* When the interrupt of the timer that kicks was due. */
static u64 due_ns;

static void probe_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct probe __shm *probe = tick->record;
	s32 number = task - tasks;
	ktime_t until = ktime_get() + READ_ONCE(spin_ns);

	WRITE_ONCE(ran, ran + 1);
	if (rtshm_read_u64(&probe->tick) == tick->number)
		rtshm_write_s32(&probe->order,
				rtshm_read_s32(&probe->order) * TASKS + number);
	else
		rtshm_write_s32(&probe->order, number);
	rtshm_write_u64(&probe->tick, tick->number);
	rtshm_write_s32(&probe->last, number);
	handled_ns += tick->time_ns - READ_ONCE(due_ns);
	if (READ_ONCE(shift_ns))
		rtshm_tick_shift(tick, shift_ns);
	/* Not ndelay(), whose idea of a nanosecond is of the boot. */
	while (ktime_get() < until)
		cpu_relax();
}

static void probe_empty(struct rtshm_task *task, const struct rtshm_tick *tick)
{
}

static void probe_copies(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct probe __shm *probe = tick->record;
	static u64 words[WORDS];
	unsigned int i;

	WRITE_ONCE(ran, ran + 1);
	for (i = 0; i < WORDS; i++)
		words[i] = rtshm_read_u64(&probe->given[i]);
	for (i = 1; i < WORDS && words[i] == words[0]; i++)
		;
	if (i < WORDS)
		rtshm_write_u64(&probe->torn, rtshm_read_u64(&probe->torn) + 1);
	for (i = 0; i < WORDS; i++)
		rtshm_write_u64(&probe->made[i], tick->number);
}

static void probe_gone(struct rtshm_task *task)
{
	gone++;
	in_gone = rtshm_task_add("default", task);
}

/* A thread that adds its task and removes it again. */
struct probe_thread {
	struct rtshm_task	task;
	struct completion	done;
	const char		*region;
	unsigned int		count;
	bool			removed;
	int			err;
};

static void probe_thread_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct probe_thread *thread = container_of(task, typeof(*thread), task);

	WRITE_ONCE(ran, ran + 1);
	ndelay(500);
	if (READ_ONCE(thread->removed))
		WRITE_ONCE(late, late + 1);
}

static int probe_thread(void *data)
{
	struct probe_thread *thread = data;

	while (thread->count-- && !thread->err) {
		WRITE_ONCE(thread->removed, false);
		thread->err = rtshm_task_add(thread->region, &thread->task);
		if (!thread->err) {
			/* So that a tick may fall in between. */
			usleep_range(10, 20);
			rtshm_task_remove(&thread->task);
		}
		WRITE_ONCE(thread->removed, true);
	}
	complete(&thread->done);
	return 0;
}

static int probe_many(unsigned int count, const char *region)
{
	static struct probe_thread threads[2];
	unsigned int i, started;
	int err = 0;

	memset(threads, 0, sizeof(threads));
	for (started = 0; started < ARRAY_SIZE(threads); started++) {
		struct probe_thread *thread = &threads[started];
		struct task_struct *running;

		thread->task.name = started ? "second" : "first";
		thread->task.tick = probe_thread_tick;
		thread->region = region;
		thread->count = count;
		init_completion(&thread->done);
		running = kthread_run(probe_thread, thread, "rtshm_probe/%u", started);
		if (IS_ERR(running)) {
			err = PTR_ERR(running);
			break;
		}
	}
	for (i = 0; i < started; i++) {
		wait_for_completion(&threads[i].done);
		err = err ?: threads[i].err;
	}
	return err;
}

/* A driver whose interrupt is a tick: of a timer, every 200 us. */
struct probe_kicker {
	struct hrtimer		timer;
	struct completion	done;
	struct rtshm_task	*task;
	unsigned int		count;
};

static enum hrtimer_restart probe_kick(struct hrtimer *timer)
{
	struct probe_kicker *kicker = container_of(timer, typeof(*kicker), timer);

	due_ns = hrtimer_get_expires(timer);
	if (kicker->task)
		kicked = rtshm_task_kick(kicker->task);
	else
		handled_ns += ktime_get() - due_ns;
	handled++;
	if (!--kicker->count) {
		complete(&kicker->done);
		return HRTIMER_NORESTART;
	}
	hrtimer_forward_now(timer, ns_to_ktime(200 * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static int probe_kicks(struct rtshm_task *task, unsigned int count)
{
	static struct probe_kicker kicker;

	kicker.task = task;
	kicker.count = count;
	kicked = 0;
	handled = 0;
	handled_ns = 0;
	init_completion(&kicker.done);
	hrtimer_setup(&kicker.timer, probe_kick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&kicker.timer, 0, HRTIMER_MODE_REL_PINNED_HARD);
	wait_for_completion(&kicker.done);
	hrtimer_cancel(&kicker.timer);
	return kicked;
}

static noinline void probe_interrupts_off(ulong ns)
{
	unsigned long flags;
	ktime_t until;

	local_irq_save(flags);
	until = ktime_get() + ns;
	while (ktime_get() < until)
		cpu_relax();
	local_irq_restore(flags);
	/* Not the end: an interrupt that waited would come in the caller. */
	WRITE_ONCE(ran, ran + 1);
}

static ulong work_ns;

static void probe_work(struct work_struct *work)
{
	probe_interrupts_off(work_ns);
}

static DECLARE_WORK(worker, probe_work);

static int probe_run(const char *value, const struct kernel_param *kp)
{
	char region[40] = "";
	unsigned int number, count;

	if (sscanf(value, "kick %u %u", &number, &count) == 2 && number < TASKS && count)
		return probe_kicks(&tasks[number], count);
	if (sscanf(value, "interrupt %u", &count) == 1 && count)
		return probe_kicks(NULL, count);
	if (sscanf(value, "add %u %39s", &number, region) == 2 && number < TASKS)
		return rtshm_task_add(region, &tasks[number]);
	if (sscanf(value, "many %u %39s", &number, region) == 2)
		return probe_many(number, region);
	if (sscanf(value, "large %u %39s", &number, region) == 2) {
		struct rtshm_task large = {
			.name = tasks[0].name,
			.layout_bytes = number,
			.tick = probe_tick,
		};

		return rtshm_task_add(region, &large) ?: -EUCLEAN;
	}
	if (sscanf(value, "nameless %39s", region) == 1) {
		struct rtshm_task nameless = { .tick = probe_tick };

		return rtshm_task_add(region, &nameless) ?: -EUCLEAN;
	}
	if (sscanf(value, "off %u", &number) == 1) {
		probe_interrupts_off(number);
		return 0;
	}
	if (sscanf(value, "work %u", &number) == 1) {
		work_ns = number;
		schedule_work_on(raw_smp_processor_id(), &worker);
		return 0;
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
		scnprintf(names[i], sizeof(names[i]), "%s%u", prefix, i);
		tasks[i].name = names[i];
		tasks[i].layout_bytes = sizeof(struct probe);
		tasks[i].tick = i == EMPTY ? probe_empty :
				i == COPIES ? probe_copies : probe_tick;
		tasks[i].gone = probe_gone;
	}
	if (hold) {
		held = request_mem_region(hold, hold_bytes, KBUILD_MODNAME);
		if (!held)
			return -EBUSY;
		if (hold_idle)
			held->flags &= ~IORESOURCE_BUSY;
	}
	return 0;
}

static void __exit probe_exit(void)
{
	unsigned int i;

	cancel_work_sync(&worker);
	for (i = 0; i < TASKS; i++)
		rtshm_task_remove(&tasks[i]);
	if (held) {
		held->flags |= IORESOURCE_BUSY;
		release_mem_region(hold, hold_bytes);
	}
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("Tasks for the tests of rtshm_task.h");
MODULE_LICENSE("GPL");
