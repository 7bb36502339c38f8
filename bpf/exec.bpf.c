// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Execs. sched_process_exec fires for execve and execveat, from any thread, once the exec
 * cannot fail any more (fs/exec.c, exec_binprm).
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

#include "argv.h"
#include "bounds.h"
#include "cgroup.h"
#include "credentials.h"
#include "exec_ring.h"
#include "file.h"
#include "filter.h"
#include "host.h"
#include "kernel_types.h"
#include "lineage.h"
#include "mark.h"
#include "namespaces.h"
#include "path.h"
#include "process.h"
#include "scratch.h"
#include "stream.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The addon sets these before it loads the programs. */
const volatile __u32 args_mode = EXEC_ARGS_FULL; /* enum exec_args */
const volatile bool wants_env = false;

DISPATCH_MAPS(exec);

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_dispatch, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0;
	struct host_control *h = bpf_map_lookup_elem(&host, &zero);

	if (h)
		dispatch(ctx, h, &h->exec, &exec_stream, &exec_handoff, &exec_programs);
	return 0;
}

/*
 * Writes a string of the kernel, at most `room` bytes with its NUL, to data + offset. Returns the offset behind it, -1
 * when it cannot be read.
 */
static __always_inline long copy_kernel_string(struct scratch *scratch, const char *string, __u32 room, __u64 offset)
{
	if (!is_in_data(offset))
		return -1;

	long bytes = bpf_probe_read_kernel_str(scratch->data + offset, room, string);

	return bytes > 0 ? offset + bytes - 1 : -1;
}

/* An exec of a script runs its interpreter: then `interp` is not the path that was given (fs/binfmt_script.c). */
static __always_inline __u64 copy_names_given(struct scratch *scratch, struct linux_binprm *bprm, __u64 offset)
{
	struct exec_record *record = &scratch->record;
	const char *filename = bprm->filename;
	const char *interpreter = bprm->interp;

	offset = enter_string(record, &record->filename, EXEC_FIELD_FILENAME, offset,
			      copy_kernel_string(scratch, filename, PATH_BYTES, offset));
	return enter_string(record, &record->interpreter, EXEC_FIELD_INTERPRETER, offset,
			    interpreter == filename
				    ? offset
				    : copy_kernel_string(scratch, interpreter, INTERPRETER_BYTES, offset));
}

static __always_inline __u64 copy_exe(struct scratch *scratch, __u64 offset)
{
	struct exec_record *record = &scratch->record;
	long names = find_names(scratch, PATH_OF_EXE);
	__u64 end = enter_string(record, &record->exe, EXEC_FIELD_EXE, offset,
				 names & PATH_NONE ? -1 : join_names(scratch, offset, names & ~PATH_CUT));

	if (names & PATH_CUT && record->exe.length > 0) {
		/* It is not absolute, and must not look so. */
		set_flag(record, EXEC_FLAG_EXE_TRUNCATED, true);
		record->exe.offset++;
		record->exe.length--;
	}
	return end;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_record, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct handoff *handoff = bpf_map_lookup_elem(&exec_handoff, &cpu);
	struct scratch *scratch = scratch_of_cpu();

	if (!handoff || !scratch)
		return 0; /* never: the maps have these elements */

	struct exec_record *record = &scratch->record;
	struct lineage lineage = {.task = task, .next = (struct exec_ancestor *)scratch->data};
	__u64 offset;

	record->epoch = handoff->epoch;
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->unread = 0;
	record->flags = 0;
	record->result = 0;
	record->tid = old_pid;
	record->args_count = bprm->argc;
	step_up(&lineage);
	read_process(record, task, task);
	step_up(&lineage);
	read_credentials(record, task->cred);
	step_up(&lineage);
	read_gain(record, bprm->file);
	step_up(&lineage);
	read_restrictions(record, task);
	step_up(&lineage);
	read_session(record, task);
	step_up(&lineage);
	read_namespaces(record, task);
	step_up(&lineage);
	read_file(record, bprm->file);
	step_up(&lineage); /* ANCESTORS of them */

	record->ancestors.offset = sizeof(*record);
	record->ancestors.length = lineage.count * sizeof(struct exec_ancestor);
	offset = copy_names_given(scratch, bprm, record->ancestors.length);
	offset = copy_exe(scratch, offset);
	offset = enter_string(record, &record->cgroup_path, EXEC_FIELD_CGROUP_PATH, offset,
			      copy_cgroup_path(scratch, offset));
	if (has_filters) {
		long rule = filtering_rule();

		if (rule >= 0) {
			mark_exec(record->exec_count, rule);
			return 0;
		}
	}
	offset = copy_cwd(scratch, offset);
	offset = enter_string(record, &record->tty, EXEC_FIELD_TTY, offset, copy_tty(scratch, task, offset));
	offset = copy_argv(scratch, task->mm, args_mode, offset);
	offset = copy_env(scratch, task->mm, wants_env, offset);

	__u64 bytes = sizeof(*record) + offset;
	hide_bounds(bytes);
	if (bytes > sizeof(*record) + EXEC_DATA_BYTES)
		bytes = sizeof(*record) + EXEC_DATA_BYTES; /* never: for the verifier */
	send_whole_or_bare(record, bytes);
	return 0;
}

/* Is attached beside the dispatcher, and never changes either. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(exec_fork, struct task_struct *parent, struct task_struct *child)
{
	inherit_mark(parent, child);
	return 0;
}
