/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The groups that a process belongs to: session, process group, terminal, namespaces. */
#ifndef BPF2KAFKA_NAMESPACES_H
#define BPF2KAFKA_NAMESPACES_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "scratch.h"

/* enum pid_type (include/linux/pid_types.h) */
#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3
/* For the verifier: pid namespaces are nested 32 deep at most (MAX_PID_NS_LEVEL, include/linux/pid_namespace.h). */
#define UPID_OFFSET_MASK 0xfff

static __always_inline void read_session(struct exec_record *record, struct task_struct *task)
{
	record->sid = task->signal->pids[PIDTYPE_SID]->numbers[0].nr;
	record->pgid = task->signal->pids[PIDTYPE_PGID]->numbers[0].nr;
}

/* The process's own pid namespace, which unshare does not change: that is for its children. */
static __always_inline void read_pid_namespace(struct exec_record *record, struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	struct upid innermost = {};

	/* Outside of containers: the first one's place is known, so that no helper is called. */
	if (pid->level == 0) {
		record->ns_pid = pid->numbers[0].nr;
		record->ns_pid_id = pid->numbers[0].ns->ns.inum;
		return;
	}

	__u64 at = pid->level * bpf_core_type_size(struct upid);

	hide_bounds(at);
	at &= UPID_OFFSET_MASK;
	record->ns_pid = 0;
	record->ns_pid_id = 0;
	if (bpf_probe_read_kernel(&innermost, sizeof(innermost), (const char *)&pid->numbers + at)) {
		mark_unread(record, EXEC_FIELD_NS_PID);
		mark_unread(record, EXEC_FIELD_NS_PID_ID);
		return;
	}
	record->ns_pid = innermost.nr;
	if (bpf_core_read(&record->ns_pid_id, sizeof(record->ns_pid_id), &innermost.ns->ns.inum))
		mark_unread(record, EXEC_FIELD_NS_PID_ID);
}

static __always_inline void read_namespaces(struct exec_record *record, struct task_struct *task)
{
	struct nsproxy *namespaces = task->nsproxy;

	record->ns_mnt = namespaces->mnt_ns->ns.inum;
	record->ns_net = namespaces->net_ns->ns.inum;
	record->ns_cgroup = namespaces->cgroup_ns->ns.inum;
	record->ns_user = task->cred->user_ns->ns.inum;
	read_pid_namespace(record, task);
}

/* Writes the name of the controlling terminal to data + offset; returns the offset behind it, -1 when it cannot be read. */
static __always_inline long copy_tty(struct scratch *scratch, struct task_struct *task, __u64 offset)
{
	struct tty_struct *tty = task->signal->tty;

	if (!tty || !is_in_data(offset))
		return offset;

	long bytes = bpf_probe_read_kernel_str(scratch->data + offset, TTY_BYTES, &tty->name);

	return bytes > 0 ? offset + bytes - 1 : -1;
}

#endif
