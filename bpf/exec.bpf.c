// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Process lifecycle. sched_process_exec fires for execve and execveat, from any thread, once the exec
 * cannot fail any more (fs/exec.c, exec_binprm).
 *
 * A tp_btf link cannot change its program, and detaching to attach another one loses what happens in
 * between. So two programs: a dispatcher that is attached once and never changes, and behind it, in
 * slot 0 of a program array, the one that writes the record and can be replaced under load.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "argv.h"
#include "bounds.h"
#include "cgroup.h"
#include "emit.h"
#include "host.h"
#include "kernel_types.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stream_control);
} exec_stream SEC(".maps");

/* One element a possible CPU; the addon sets the number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handoff);
} exec_handoff SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} exec_programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes; the addon sets the size */
} exec_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ring_control);
} exec_ring_control SEC(".maps");

/*
 * Where a record is put together, one element a possible CPU. A per-CPU array cannot hold elements of
 * more than 32 KiB. It belongs to this program alone: a newer one that runs beside it for a moment during
 * an upgrade, on the same CPU when the kernel preempts, has its own.
 */
struct exec_scratch {
	struct exec_record record;
	char data[FILENAME_BYTES + CGROUP_PATH_BYTES + ARGS_CAPTURED_BYTES + ARGS_PAGE_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_scratch SEC(".maps");

/* Set at load, to a number of its own. */
const volatile __u64 attachment = 0;

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_dispatch, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0;
	__u32 cpu = bpf_get_smp_processor_id();
	struct host_control *h = bpf_map_lookup_elem(&host, &zero);
	struct stream_control *stream = bpf_map_lookup_elem(&exec_stream, &zero);
	struct handoff *handoff = bpf_map_lookup_elem(&exec_handoff, &cpu);

	if (!h || !stream || !handoff)
		return 0; /* never: the maps have these elements */
	/* The kernel may keep it attached for a while after its link is gone. */
	if (*(volatile __u64 *)&h->exec_attachment != attachment)
		return 0;

	__u64 epoch = *(volatile __u64 *)&h->epoch;
	struct stream_counters *counters = &stream->counters[epoch & 1];

	count(&counters->entered);
	handoff->epoch = epoch;
	bpf_tail_call(ctx, &exec_programs, 0);
	count(&counters->fell_through);
	return 0;
}

/*
 * Pointers that come with the tracepoint carry their type, so what they lead to is loaded directly, without a
 * helper's call: the kernel turns a fault into a 0. Some 20 calls less make a third of the time of a run.
 */
static __always_inline void read_credentials(struct exec_record *record, struct task_struct *task)
{
	const struct cred *cred = task->cred;

	record->uid = cred->uid.val;
	record->gid = cred->gid.val;
	record->euid = cred->euid.val;
	record->egid = cred->egid.val;
	record->suid = cred->suid.val;
	record->sgid = cred->sgid.val;
}

/* The parent is a process: a child that a thread forked has that thread for real_parent. */
static __always_inline void read_parent(struct exec_record *record, struct task_struct *task)
{
	struct task_struct *parent = task->real_parent->group_leader;

	record->ppid = parent->tgid;
	record->parent_start_boot_ns = parent->start_boottime;
	record->parent_exec_count = parent->self_exec_id;
	if (bpf_core_read(record->parent_comm, sizeof(record->parent_comm), &parent->comm))
		record->unread |= 1ULL << EXEC_FIELD_PARENT_COMM;
}

/* FILENAME_BYTES of room at data; returns the bytes without the NUL. */
static __always_inline __u64 copy_filename(struct exec_record *record, struct linux_binprm *bprm, char *data)
{
	long bytes = bpf_probe_read_kernel_str(data, FILENAME_BYTES, bprm->filename);

	if (bytes > 0 && bytes <= FILENAME_BYTES)
		return bytes - 1;
	record->unread |= 1ULL << EXEC_FIELD_FILENAME;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_record, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0;
	__u32 cpu = bpf_get_smp_processor_id();
	struct handoff *handoff = bpf_map_lookup_elem(&exec_handoff, &cpu);
	struct stream_control *stream = bpf_map_lookup_elem(&exec_stream, &zero);
	struct ring_control *control = bpf_map_lookup_elem(&exec_ring_control, &zero);
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &cpu);

	if (!handoff || !stream || !control || !scratch)
		return 0; /* never: the maps have these elements */

	struct exec_record *record = &scratch->record;
	struct kernfs_node *cgroup = task->cgroups->dfl_cgrp->kn;
	__u64 offset = 0;

	record->epoch = handoff->epoch;
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->start_boot_ns = task->start_boottime;
	record->exec_count = task->self_exec_id;
	record->pid = task->tgid;
	record->tid = old_pid;
	record->cgroup_id = cgroup->id;
	record->unread = 0;
	record->args_count = bprm->argc;
	bpf_core_read(record->comm, sizeof(record->comm), &task->comm);
	read_credentials(record, task);
	read_parent(record, task);

	record->filename.offset = sizeof(*record);
	record->filename.length = copy_filename(record, bprm, scratch->data);
	offset = record->filename.length;

	record->cgroup_path.offset = sizeof(*record) + offset;
	record->cgroup_path.length = copy_cgroup_path(record, cgroup, scratch->data, offset) - offset;
	offset += record->cgroup_path.length;

	record->args.offset = sizeof(*record) + offset;
	record->args.length = copy_argv(record, task->mm, scratch->data, offset) - offset;
	offset += record->args.length;

	__u64 bytes = sizeof(*record) + offset;
	hide_bounds(bytes);
	if (bytes > sizeof(*scratch))
		bytes = sizeof(*scratch); /* never: for the verifier */
	emit(&exec_ring, control, stream, &stream->counters[record->epoch & 1], &record->seq, bytes);
	return 0;
}
