/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* argv of the new program, from its stack: the kernel has just written it there and nobody ran yet. */
#ifndef BPF2KAFKA_ARGV_H
#define BPF2KAFKA_ARGV_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"

/*
 * Copies argv to data + offset and returns the offset behind it; up to ARGS_CAPTURED_BYTES, and
 * ARGS_PAGE_BYTES of room must follow those. A page that is not in memory (a tracing program cannot
 * wait for it) is left as zeros, which is what bpf_probe_read_user makes of it, and marked.
 */
static __always_inline __u64 copy_argv(struct exec_record *record, struct mm_struct *mm, char *data, __u64 offset)
{
	__u64 source = mm->arg_start;
	__u64 end = mm->arg_end;
	__u64 left = end > source ? end - source : 0;
	__u64 tail = 0;

	record->args_bytes = left;
	record->args_page_offset = source & (ARGS_PAGE_BYTES - 1);
	record->args_absent = 0;
	if (left > ARGS_CAPTURED_BYTES) {
		left = ARGS_HEAD_BYTES;
		tail = ARGS_TAIL_BYTES;
	}

	for (int i = 0; i < ARGS_READS; i++) {
		if (left == 0) {
			if (tail == 0)
				break;
			left = tail;
			source = end - tail;
			tail = 0;
		}
		__u64 bytes = ARGS_PAGE_BYTES - (source & (ARGS_PAGE_BYTES - 1));
		if (bytes > left)
			bytes = left;
		hide_bounds(bytes);
		hide_bounds(offset);
		if (bytes > ARGS_PAGE_BYTES || offset > FILENAME_BYTES + CGROUP_PATH_BYTES + ARGS_CAPTURED_BYTES)
			break;
		if (bpf_probe_read_user(data + offset, bytes, (const void *)source))
			record->args_absent |= 1ULL << i;
		offset += bytes;
		source += bytes;
		left -= bytes;
	}
	if (record->args_absent)
		record->unread |= 1ULL << EXEC_FIELD_ARGS;
	return offset;
}

#endif
