// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Execs that failed: the calls of execve and execveat that return. They are events of the stream "exec" too, with its
 * numbers, counters and rings. Attached only on request, since it sees the end of every system call. (A program on
 * tracepoint/syscalls would be called for the right ones alone; but those are skipped while any task is preempted in a
 * bpf(2) call, and nobody counts it.)
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"

#define SCRATCH_RECORD struct exec_record
#define SCRATCH_DATA_BYTES EXEC_DATA_BYTES

#include "bounds.h"
#include "cgroup.h"
#include "credentials.h"
#include "exec_call.h"
#include "exec_ring.h"
#include "filter.h"
#include "host.h"
#include "kernel_types.h"
#include "lineage.h"
#include "namespaces.h"
#include "process.h"
#include "scratch.h"
#include "stream.h"

#define ERRNO_MAX 4095 /* MAX_ERRNO (include/linux/err.h) */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

DISPATCH_MAPS(exec_failed);

SEC("tp_btf/sys_exit")
int BPF_PROG(exec_failed_dispatch, struct pt_regs *regs, long result)
{
	struct exec_call call;

	/* Nearly every call ends here. */
	if (result >= 0 || result < -ERRNO_MAX || !read_exec_call(bpf_get_current_task_btf(), regs, &call))
		return 0;

	__u32 zero = 0;
	struct host_control *h = bpf_map_lookup_elem(&host, &zero);

	if (h)
		dispatch(ctx, h, &h->exec, &exec_stream, &exec_failed_handoff, &exec_failed_programs);
	return 0;
}

/* What it was given as the path, at most PATH_BYTES with its NUL; of execveat it can be empty. */
static __always_inline __u64 copy_filename(struct scratch *scratch, __u64 address, __u64 offset)
{
	long bytes = -1;

	if (is_in_data(offset))
		bytes = bpf_probe_read_user_str(scratch->data + offset, PATH_BYTES, (const void *)address);
	return enter_string(&scratch->record, &scratch->record.filename, EXEC_FIELD_FILENAME, offset,
			    bytes > 0 ? (long)offset + bytes - 1 : -1);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exec_failed_record, struct pt_regs *regs, long result)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct handoff *handoff = bpf_map_lookup_elem(&exec_failed_handoff, &cpu);
	struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *scratch = scratch_of_cpu();
	struct exec_call call;

	if (!handoff || !scratch || !read_exec_call(task, regs, &call))
		return 0; /* never: the maps have these elements, and the dispatcher has seen the call */

	struct exec_record *record = &scratch->record;
	struct lineage lineage = {.task = task, .next = (struct exec_ancestor *)scratch->data};
	__u64 offset;

	__builtin_memset(record, 0, sizeof(*record)); /* all that is of the new program stays so */
	record->epoch = handoff->epoch;
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->tid = task->pid;
	record->result = result;
	read_process(record, task, task->group_leader);
	read_credentials(record, task->cred);
	read_restrictions(record, task);
	read_session(record, task);
	read_namespaces(record, task);
	for (int i = 0; i < ANCESTORS; i++)
		step_up(&lineage);
	record->ancestors.offset = sizeof(*record);
	record->ancestors.length = lineage.count * sizeof(struct exec_ancestor);
	offset = copy_filename(scratch, call.filename, record->ancestors.length);
	offset = enter_string(record, &record->interpreter, EXEC_FIELD_INTERPRETER, offset, offset);
	offset = enter_string(record, &record->exe, EXEC_FIELD_EXE, offset, offset);
	offset = enter_string(record, &record->cgroup_path, EXEC_FIELD_CGROUP_PATH, offset,
			      copy_cgroup_path(scratch, offset));
	if (has_filters && filtering_rule() >= 0)
		return 0;
	offset = copy_cwd(scratch, offset);
	offset = enter_string(record, &record->tty, EXEC_FIELD_TTY, offset, copy_tty(scratch, task, offset));
	record->env.offset = sizeof(*record) + offset;
	offset = copy_given_argv(call.argv, call.pointer_bytes, offset);

	__u64 bytes = sizeof(*record) + offset;
	hide_bounds(bytes);
	if (bytes > sizeof(*record) + EXEC_DATA_BYTES)
		bytes = sizeof(*record) + EXEC_DATA_BYTES; /* never: for the verifier */
	send_whole_or_bare(record, bytes);
	return 0;
}
