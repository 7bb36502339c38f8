/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Which process makes an exec, whose child it is, and where it stands. */
#ifndef BPF2KAFKA_PROCESS_H
#define BPF2KAFKA_PROCESS_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "comm.h"
#include "kernel_types.h"
#include "lineage.h"
#include "path.h"
#include "scratch.h"

/*
 * Pointers that come with the tracepoint carry their type, so what they lead to is loaded directly, without a
 * helper's call: the kernel turns a fault into a 0. Some 20 calls less make a third of the time of a run.
 *
 * `task` is the thread that makes the exec, `leader` the first one of its process.
 */
static __always_inline void read_process(struct exec_record *record, struct task_struct *task,
					 struct task_struct *leader)
{
	struct task_struct *parent = parent_of(task);

	record->start_boot_ns = leader->start_boottime;
	record->exec_count = leader->self_exec_id;
	record->pid = task->tgid;
	copy_comm(record->comm, task);
	record->ppid = parent->tgid;
	record->parent_start_boot_ns = parent->start_boottime;
	record->parent_exec_count = parent->self_exec_id;
	copy_comm(record->parent_comm, parent);
	record->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
}

static __always_inline __u64 copy_cwd(struct scratch *scratch, __u64 offset)
{
	struct exec_record *record = &scratch->record;
	long names = find_names(scratch, PATH_OF_CWD);

	return enter_string(record, &record->cwd, EXEC_FIELD_CWD, offset,
			    names & (PATH_NONE | PATH_CUT) ? -1 : join_names(scratch, offset, names));
}

#endif
