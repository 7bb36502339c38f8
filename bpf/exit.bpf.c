// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Exits. sched_process_exit fires for each thread that ends (kernel/exit.c, do_exit); a process ends with the last thread
 * of its group. It is still in its cgroup then, and nobody has waited for it. Kernel threads are no processes.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"

#define SCRATCH_RECORD struct exit_record
#define SCRATCH_DATA_BYTES EXIT_DATA_BYTES

#include "bounds.h"
#include "cgroup.h"
#include "comm.h"
#include "emit.h"
#include "host.h"
#include "kernel_types.h"
#include "mark.h"
#include "scratch.h"
#include "stream.h"
#include "thread_group.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The addon sets it before it loads the programs. */
const volatile __u64 page_bytes = 4096;

STREAM_MAPS(exit);

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_dispatch, struct task_struct *task)
{
	__u32 zero = 0;
	struct host_control *h = bpf_map_lookup_elem(&host, &zero);

	if (h && !(task->flags & PF_KTHREAD) && ends_group(ctx, task))
		dispatch(ctx, h, &h->exit, &exit_stream, &exit_handoff, &exit_programs);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_record, struct task_struct *task)
{
	__u32 zero = 0;
	__u32 cpu = bpf_get_smp_processor_id();
	struct handoff *handoff = bpf_map_lookup_elem(&exit_handoff, &cpu);
	struct stream_control *stream = bpf_map_lookup_elem(&exit_stream, &zero);
	struct ring_control *control = bpf_map_lookup_elem(&exit_ring_control, &zero);
	struct scratch *scratch = scratch_of_cpu();

	if (!handoff || !stream || !control || !scratch)
		return 0; /* never: the maps have these elements */

	struct exit_record *record = &scratch->record;
	struct task_struct *leader = task->group_leader;

	if (follows_filtered(leader, handoff->epoch))
		return 0;
	record->epoch = handoff->epoch;
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->unread = 0;
	record->pid = task->tgid;
	record->start_boot_ns = leader->start_boottime;
	record->exec_count = leader->self_exec_id;
	record->status = wait_status(leader);
	record->max_rss_bytes = task->signal->maxrss * page_bytes;
	copy_comm(record->comm, leader);
	read_cpu_times(record, task);

	__u64 bytes = sizeof(*record) + enter_string(record, &record->cgroup_path, EXIT_FIELD_CONTAINER_ID, 0,
						      copy_cgroup_path(scratch, 0));
	hide_bounds(bytes);
	if (bytes > sizeof(*record) + EXIT_DATA_BYTES)
		bytes = sizeof(*record) + EXIT_DATA_BYTES; /* never: for the verifier */
	number(stream, &record->seq);

	__u64 *lost = send(&exit_ring, control, &stream->counters[record->epoch & 1], &record->seq, bytes);
	if (lost)
		count(lost);
	return 0;
}
