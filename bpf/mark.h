/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What an exec leaves behind that a rule has kept out: its process is marked, so that its exit is kept out too, for the
 * same rule, whatever the rules are by then. A process that was forked and made no exec runs the same program: it inherits
 * the mark. Without memory for a mark the exit is recorded.
 */
#ifndef BPF2KAFKA_MARK_H
#define BPF2KAFKA_MARK_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "emit.h"
#include "kernel_types.h"
#include "rules.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct exec_mark);
} exec_marks SEC(".maps");

static __always_inline void set_mark(struct task_struct *leader, __u64 exec_count, __u64 rule)
{
	struct exec_mark *mark = bpf_task_storage_get(&exec_marks, leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!mark)
		return;
	mark->exec_count = exec_count;
	mark->rule = rule;
}

/* The mark of the process whose first thread this is; null when it has none, or has made another exec since. */
static __always_inline struct exec_mark *mark_of(struct task_struct *leader)
{
	struct exec_mark *mark = bpf_task_storage_get(&exec_marks, leader, NULL, 0);

	return mark && mark->exec_count == leader->self_exec_id ? mark : NULL;
}

/* Of the process that makes an exec: whichever thread called it is the first one by now. */
static __always_inline void mark_exec(__u64 exec_count, __u32 rule)
{
	set_mark(bpf_get_current_task_btf(), exec_count, rule);
}

/* A child begins with its parent's self_exec_id (kernel/fork.c, dup_task_struct). */
static __always_inline void inherit_mark(struct task_struct *parent, struct task_struct *child)
{
	struct exec_mark *mark;

	if (child->pid != child->tgid)
		return; /* a thread */
	mark = mark_of(parent->group_leader);
	if (mark)
		set_mark(child, mark->exec_count, mark->rule);
}

/* Whether the process follows an exec that was kept out; then its exit is counted for the same rule. */
static __always_inline bool follows_filtered(struct task_struct *leader, __u64 epoch)
{
	struct exec_mark *mark = mark_of(leader);
	struct exec_rule *rule;

	if (!mark)
		return false;

	__u32 place = mark->rule;

	rule = bpf_map_lookup_elem(&exec_rules, &place);
	if (!rule)
		return false; /* never: the place is that of a rule */
	count(&rule->exits[epoch & 1]);
	return true;
}

#endif
