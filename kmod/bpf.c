// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF programs as tasks, and the requests about them: a loaded program of the type
 * RAW_TRACEPOINT_WRITABLE runs in each tick of a region.
 *
 * The verifier checks programs of this type for any context, hard interrupts included:
 * they never sleep or spin; from 7.2 on they may have timers, which an irq_work starts. Their
 * first argument is a buffer, here the record. The verifier reports how far they reach.
 *
 * BPF tasks are added, replaced and removed by who has claimed the region, and removed
 * when it ends, which takes a claim too. So a task that is found under a claim stays.
 */

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/slab.h>

#include "netlink_gen.h"
#include "netlink_message.h"
#include "rtshm.h"

struct rtshm_bpf_task {
	struct rtshm_task	task;
	struct bpf_prog		*prog;		/* under region->lock */
	char			name[RTSHM_NAME_MAX + 1];
};

/*
 * A tick, region->lock held. Calls the program in the way of __bpf_trace_run().
 * That one also has a guard against recursion: a tick is not interrupted by a tick.
 */
static void rtshm_bpf_tick(struct rtshm_task *task, const struct rtshm_tick *tick)
{
	struct rtshm_bpf_task *bpf = container_of(task, typeof(*bpf), task);
	/* The verifier lets a program load all; client/rtshm/layout/c.py names them. */
	u64 words[MAX_BPF_FUNC_ARGS] = {
		(__force unsigned long)tick->record,
		tick->number,
		tick->time_ns,
		tick->lateness_ns,
		tick->period_ns,
		tick->missed,
		tick->some_int,
		tick->announced,
	};
	struct bpf_trace_run_ctx run_ctx = {};
	struct bpf_run_ctx *before;
	s32 shift_ns;

	before = bpf_set_run_ctx(&run_ctx.run_ctx);
	rcu_read_lock();
	shift_ns = bpf_prog_run(bpf->prog, words);
	rcu_read_unlock();
	bpf_reset_run_ctx(before);
	if (shift_ns)
		rtshm_tick_shift(tick, shift_ns);
}

static void rtshm_bpf_free(struct rtshm_bpf_task *bpf)
{
	bpf_prog_put(bpf->prog);
	kfree(bpf);
}

/* rtshm_regions_lock held. */
static void rtshm_bpf_gone(struct rtshm_task *task)
{
	rtshm_bpf_free(container_of(task, struct rtshm_bpf_task, task));
}

/*
 * The types whose operations take raw locks only, on PREEMPT_RT too. An LPM trie takes
 * a sleeping one there. Tail calls and map-in-map would reach what is not checked here.
 */
static bool rtshm_bpf_map_ok(const struct bpf_map *map)
{
	switch (map->map_type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_BLOOM_FILTER:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
		return true;
	default:
		return false;
	}
}

static int rtshm_bpf_check_maps(const struct bpf_prog *prog, struct netlink_ext_ack *extack)
{
	guard(mutex)(&prog->aux->used_maps_mutex);
	for (u32 i = 0; i < prog->aux->used_map_cnt; i++) {
		const struct bpf_map *map = prog->aux->used_maps[i];

		if (!rtshm_bpf_map_ok(map))
			return rtshm_refuse(extack, -EOPNOTSUPP,
					    "prog-fd: map %s: type %u is not for hard interrupts",
					    map->name, map->map_type);
	}
	return 0;
}

/*
 * Whether this instruction is of a loop without a bound: the call of an iterator, or what
 * the verifier makes of bpf_iter_num_new() (7.3 and later) or of may_goto (6.9 and later).
 * net.core.bpf_jit_harden inserts instructions at constants, BPF_F_TEST_RND_HI32 behind
 * results: neither comes between the two of bpf_iter_num_new().
 */
static bool rtshm_bpf_endless(const struct bpf_insn *insn)
{
	switch (insn->code) {
	case BPF_JMP | BPF_CALL:
		return insn->src_reg == BPF_PSEUDO_KFUNC_CALL;
	case BPF_LDX | BPF_MEM | BPF_DW:
		return insn->dst_reg == BPF_REG_AX && insn->src_reg == BPF_REG_10;
	case BPF_ALU | BPF_MOV | BPF_X:	/* Never the first: R3 has no value yet. */
		return insn->dst_reg == BPF_REG_0 && insn->src_reg == BPF_REG_3 &&
		       insn[-1].code == (BPF_JMP32 | BPF_JSGT | BPF_X) &&
		       insn[-1].dst_reg == BPF_REG_2 && insn[-1].src_reg == BPF_REG_3;
	default:
		return false;
	}
}

/*
 * Returns the most instructions that a run takes, or 0 if nothing bounds them.
 *
 * The verifier walks a loop turn by turn, and prunes a path only where it meets a state
 * whose paths are walked to their ends. So each run follows states that it walked, none
 * twice, and takes no more instructions than it did. This does not hold for callbacks
 * and global functions, which are functions of their own, nor for iterators and may_goto.
 */
static u32 rtshm_bpf_insns_max(const struct bpf_prog *prog)
{
	if (prog->aux->func_cnt)
		return 0;
	for (u32 i = 0; i < prog->len; i++)
		if (rtshm_bpf_endless(&prog->insnsi[i]))
			return 0;
	return prog->aux->verified_insns;
}

/*
 * The region is claimed, and no other lock held: counting the instructions of a long
 * program takes a while. Returns the program that a request gives, or an ERR_PTR.
 */
static struct bpf_prog *rtshm_bpf_get(const struct rtshm_region *region, struct genl_info *info,
				      u32 *insns_max)
{
	const struct nlattr *fd = info->attrs[RTSHM_A_TASK_REQUEST_PROG_FD];
	u64 room = region->config.size - sizeof(struct rtshm_word);
	struct netlink_ext_ack *extack = info->extack;
	struct bpf_prog *prog;
	int err;

	if (!fd)
		return ERR_PTR(rtshm_refuse(extack, -EINVAL, "prog-fd: missing"));
	prog = bpf_prog_get_type_dev(nla_get_u32(fd), BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
				     false);
	if (IS_ERR(prog)) {
		rtshm_refuse(extack, 0, IS_ENABLED(CONFIG_BPF_SYSCALL) ?
			     "prog-fd: not a BPF program of type raw_tracepoint_writable" :
			     "prog-fd: this kernel has no CONFIG_BPF_SYSCALL");
		return prog;
	}
	if (prog->aux->max_tp_access > room) {
		err = rtshm_refuse(extack, -ERANGE,
				   "prog-fd: it reaches %u bytes of the record, which has %llu",
				   prog->aux->max_tp_access, room);
		goto err_put;
	}
	err = rtshm_bpf_check_maps(prog, extack);
	if (err)
		goto err_put;
	*insns_max = rtshm_bpf_insns_max(prog);
	if (*insns_max)
		return prog;
	if (!nla_get_flag(info->attrs[RTSHM_A_TASK_REQUEST_UNBOUNDED]))
		err = rtshm_refuse(extack, -EINVAL,
				   "prog-fd: no bound on its instructions: give unbounded to run it");
	else if (!region->periodic || !region->config.set.task_long_max)
		err = rtshm_refuse(extack, -EINVAL,
				   "unbounded: the region needs a period, and a task-long-max that stops long tasks");
	if (err)
		goto err_put;
	return prog;

err_put:
	bpf_prog_put(prog);
	return ERR_PTR(err);
}

/* The task does not run: it is not added yet, or region->lock is held. */
static void rtshm_bpf_assign(struct rtshm_bpf_task *bpf, struct bpf_prog *prog, u32 insns_max)
{
	bpf->prog = prog;
	bpf->task.layout_bytes = prog->aux->max_tp_access;
	bpf->task.prog_id = prog->aux->id;
	bpf->task.insns_max = insns_max;
}

/* Adds a task that runs the program that a request gives. */
static int rtshm_bpf_new(struct rtshm_region *region, const char *name, struct genl_info *info)
{
	struct netlink_ext_ack *extack = info->extack;
	struct rtshm_bpf_task *bpf;
	struct bpf_prog *prog;
	u32 insns_max;
	int err;

	err = rtshm_name_check(name, extack);
	if (err)
		return err;
	bpf = kzalloc(sizeof(*bpf), GFP_KERNEL_ACCOUNT);
	if (!bpf)
		return -ENOMEM;
	prog = rtshm_bpf_get(region, info, &insns_max);
	if (IS_ERR(prog)) {
		kfree(bpf);
		return PTR_ERR(prog);
	}
	strscpy(bpf->name, name, sizeof(bpf->name));
	bpf->task.name = bpf->name;
	bpf->task.tick = rtshm_bpf_tick;
	bpf->task.gone = rtshm_bpf_gone;
	rtshm_bpf_assign(bpf, prog, insns_max);
	err = rtshm_task_add(rtshm_name(region), &bpf->task);
	if (!err)
		return 0;
	rtshm_bpf_free(bpf);
	if (err == -EEXIST)
		return rtshm_refuse(extack, err, "name: the region has a task of this name");
	return rtshm_refuse(extack, err, "name: the region has the maximum number of tasks");
}

/* rtshm_regions_lock held, the region claimed. Returns a BPF task of the region, or NULL. */
static struct rtshm_bpf_task *rtshm_bpf_find(const struct rtshm_region *region, const char *name,
					     struct netlink_ext_ack *extack)
{
	struct rtshm_task *task;

	list_for_each_entry(task, &region->tasks, list)
		if (task->tick == rtshm_bpf_tick && !strcmp(task->name, name))
			return container_of(task, struct rtshm_bpf_task, task);
	rtshm_refuse(extack, 0, "name: the region has no BPF task of this name");
	return NULL;
}

/* rtshm_regions_lock held. The next tick runs the new program; returns the old one. */
static struct bpf_prog *rtshm_bpf_exchange(struct rtshm_bpf_task *bpf, struct bpf_prog *prog,
					   u32 insns_max)
{
	struct rtshm_region *region = bpf->task.region;
	struct bpf_prog *before = bpf->prog;

	scoped_guard(raw_spinlock_irq, &region->lock) {
		rtshm_bpf_assign(bpf, prog, insns_max);
		rtshm_task_begin(&bpf->task);
	}
	rtshm_netlink_notify(region, RTSHM_CMD_REGION_SET_NTF);
	return before;
}

/* Replaces the program of a task between two ticks. */
static int rtshm_bpf_set(struct rtshm_region *region, const char *name, struct genl_info *info)
{
	struct rtshm_bpf_task *bpf;
	struct bpf_prog *prog;
	u32 insns_max;

	prog = rtshm_bpf_get(region, info, &insns_max);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	scoped_guard(mutex, &rtshm_regions_lock) {
		bpf = rtshm_bpf_find(region, name, info->extack);
		if (bpf)
			prog = rtshm_bpf_exchange(bpf, prog, insns_max);
	}
	bpf_prog_put(prog);
	return bpf ? 0 : -ESRCH;
}

/* Removes a task; it does not run afterwards. */
static int rtshm_bpf_del(struct rtshm_region *region, const char *name, struct genl_info *info)
{
	struct rtshm_bpf_task *bpf;

	scoped_guard(mutex, &rtshm_regions_lock)
		bpf = rtshm_bpf_find(region, name, info->extack);
	if (!bpf)
		return -ESRCH;
	rtshm_task_remove(&bpf->task);
	rtshm_bpf_free(bpf);
	return 0;
}

/* Process context. Claims the region of a request, and does there what is asked for. */
static int rtshm_bpf_do(struct sk_buff *skb, struct genl_info *info,
			int (*what)(struct rtshm_region *region, const char *name,
				    struct genl_info *info))
{
	const char *name = rtshm_nl_name(info, RTSHM_A_TASK_REQUEST_NAME, "name");
	struct rtshm_region *region;
	int err;

	if (!name)
		return -EINVAL;
	region = rtshm_nl_claim(skb, info, RTSHM_A_TASK_REQUEST_REGION, "region");
	if (IS_ERR(region))
		return PTR_ERR(region);
	err = what(region, name, info);
	rtshm_region_unclaim(region);
	return err;
}

int rtshm_nl_task_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	return rtshm_bpf_do(skb, info, rtshm_bpf_new);
}

int rtshm_nl_task_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	return rtshm_bpf_do(skb, info, rtshm_bpf_set);
}

int rtshm_nl_task_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	return rtshm_bpf_do(skb, info, rtshm_bpf_del);
}
