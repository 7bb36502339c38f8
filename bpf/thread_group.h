/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* A process as the group of its threads: which of them is the last to end, and what all of them took together. */
#ifndef BPF2KAFKA_THREAD_GROUP_H
#define BPF2KAFKA_THREAD_GROUP_H

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "scratch.h"

#define PF_KTHREAD 0x00200000	/* include/linux/sched.h */
#define SIGNAL_GROUP_EXIT 0x4	/* include/linux/sched/signal.h */
#define THREADS_LOOKED_AT 512	/* that have not been released: one of a group that ends soon is */
#define ATTEMPTS 4		/* to find the list standing still */

/* On the leader of a group that has ended: 1 when one of its threads has told of it. Gone with the leader. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} exit_claims SEC(".maps");

/* A member of the thread that stands at this address in the list. */
#define read_of_thread(node, member)                                                                                   \
	({                                                                                                             \
		__u64 value = 0;                                                                                       \
		bpf_probe_read_kernel(&value, bpf_core_field_size(struct task_struct, member),                         \
				      (const void *)((node) - bpf_core_field_offset(struct task_struct, thread_node) + \
						     bpf_core_field_offset(struct task_struct, member)));              \
		value;                                                                                                 \
	})

#define next_in_list(node)                                                                                             \
	({                                                                                                             \
		__u64 next = 0;                                                                                        \
		bpf_probe_read_kernel(&next, sizeof(next), (const void *)(node));                                      \
		next;                                                                                                  \
	})

/* Whether another thread still has the memory that they share: before 6.16 this one has given it up here (exit_mm). */
__noinline int others_have_memory(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 head = (__u64)task->signal + bpf_core_field_offset(struct signal_struct, thread_head);
	__u64 node = next_in_list(head);

	for (int i = 0; i < THREADS_LOOKED_AT && node && node != head; i++) {
		if (read_of_thread(node, mm))
			return 1;
		node = next_in_list(node);
	}
	return 0;
}

/*
 * True for one of the threads that call it, of one group. Where the others have been released nobody comes later, and a
 * mark that was made before is enough to see. Without memory for the mark an exit may be told of twice: never not at all.
 */
static __always_inline bool claim(struct task_struct *task)
{
	__u64 flags = task->signal->nr_threads > 1 ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0;
	__u64 *claimed = bpf_task_storage_get(&exit_claims, task->group_leader, NULL, flags);

	return !claimed || __sync_val_compare_and_swap(claimed, 0, 1) == 0;
}

/*
 * Whether the group of this thread ends with it. `ctx` is that of sched_process_exit.
 *
 * Before 6.16 the tracepoint does not say it. That none is alive any more is true for each of several threads that end at
 * once, and what the last of them writes down (maxrss) may be missing while one has not given up the memory. That one
 * comes later and finds the same.
 */
static __always_inline bool ends_group(unsigned long long *ctx, struct task_struct *task)
{
	if (bpf_core_type_exists(btf_trace_sched_process_exit))
		return ctx[1];
	return task->signal->live.counter == 0 && (task->signal->nr_threads == 1 || !others_have_memory()) && claim(task);
}

/* As wait(2) tells it (kernel/exit.c, wait_task_zombie). */
static __always_inline __u32 wait_status(struct task_struct *leader)
{
	struct signal_struct *signal = leader->signal;

	return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
}

/* Adds the CPU time of the threads in the list to the record; -1 when there are too many. */
__noinline int add_cpu_times(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *scratch = scratch_of_cpu();
	__u64 head = (__u64)task->signal + bpf_core_field_offset(struct signal_struct, thread_head);
	__u64 node = next_in_list(head);

	if (!scratch)
		return -1;
	for (int i = 0; i < THREADS_LOOKED_AT; i++) {
		if (!node)
			return -1;
		if (node == head)
			return 0;
		scratch->record.user_ns += read_of_thread(node, utime);
		scratch->record.system_ns += read_of_thread(node, stime);
		scratch->record.cpu_ns += read_of_thread(node, se.sum_exec_runtime);
		node = next_in_list(node);
	}
	return -1;
}

#define sequence_of(signal) (*(volatile unsigned int *)&(signal)->stats_lock.seqcount.seqcount.sequence)

/* A thread that is released in the meantime goes from the list into the sums of its group: then once more. */
static __always_inline void read_cpu_times(struct exit_record *record, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		unsigned int sequence = sequence_of(signal);

		record->user_ns = signal->utime;
		record->system_ns = signal->stime;
		record->cpu_ns = signal->sum_sched_runtime;
		if (add_cpu_times() == 0 && !(sequence & 1) && sequence == sequence_of(signal))
			return;
	}
	mark_unread(record, EXIT_FIELD_USER_TIME_MICROS);
	mark_unread(record, EXIT_FIELD_SYSTEM_TIME_MICROS);
}

#endif
