/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The ancestors as they are at the moment of the exec: no table of processes that lags behind, and no race with exits. */
#ifndef BPF2KAFKA_LINEAGE_H
#define BPF2KAFKA_LINEAGE_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "comm.h"
#include "kernel_types.h"
#include "scratch.h"

/* A parent is a process: a child that a thread forked has that thread for real_parent. */
static __always_inline struct task_struct *parent_of(struct task_struct *task)
{
	return task->real_parent->group_leader;
}

/* Where a way up from the task has come to. */
struct lineage {
	struct task_struct *task;
	struct exec_ancestor *next; /* in the data */
	__u64 count;
};

/*
 * One step up. Each waits for memory, since an exec leaves the caches cold, and the next one needs what it brings. So the
 * steps stand between other parts of the program, which go on meanwhile: that is a tenth of the time of a run.
 * The idle task, pid 0, is its own parent: a step that comes there is written, and not counted.
 */
static __always_inline void step_up(struct lineage *lineage)
{
	struct exec_ancestor *ancestor = lineage->next++;
	struct task_struct *task = parent_of(lineage->task);

	lineage->task = task;
	ancestor->pid = task->tgid;
	ancestor->start_boot_ns = task->start_boottime;
	ancestor->exec_count = task->self_exec_id;
	copy_comm(ancestor->comm, task);
	lineage->count += is_not_zero(ancestor->pid);
}

#endif
