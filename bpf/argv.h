/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* argv and environment of the new program, from its stack: the kernel has just written them there and nobody ran yet. */
#ifndef BPF2KAFKA_ARGV_H
#define BPF2KAFKA_ARGV_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "scratch.h"

/*
 * Copies user memory to data + offset, a page at a time, and returns how many reads that took. A page that is not in
 * memory (a tracing program cannot wait for it) is left as zeros, which is what bpf_probe_read_user makes of it, and its
 * bit is set in scratch.absent; `read` is the bit of the first one.
 */
__noinline long copy_pages(struct scratch *scratch, __u64 source, __u64 bytes, __u64 offset, __u64 read)
{
	__u64 reads = 0;

	if (!scratch)
		return 0;
	for (; reads < ARGS_READS && bytes > 0; reads++) {
		__u64 chunk = ARGS_PAGE_BYTES - (source & (ARGS_PAGE_BYTES - 1));

		if (chunk > bytes)
			chunk = bytes;
		hide_bounds(chunk);
		if (chunk > ARGS_PAGE_BYTES || !is_in_data(offset))
			break;
		if (unlikely(bpf_probe_read_user(scratch->data + offset, chunk, (const void *)source)))
			scratch->absent |= 1ULL << ((read + reads) & 63);
		offset += chunk;
		source += chunk;
		bytes -= chunk;
	}
	return reads;
}

/* Writes argv, or as much of it as `mode` says, to data + offset and returns the offset behind it. */
static __always_inline __u64 copy_argv(struct scratch *scratch, const struct mm_struct *mm, __u32 mode,
				       __u64 offset)
{
	struct exec_record *record = &scratch->record;
	__u64 start = mm->arg_start;
	__u64 end = mm->arg_end;
	__u64 bytes = end > start ? end - start : 0;
	__u64 captured = 0;

	record->args_mode = mode;
	record->args_bytes = bytes;
	record->args_page_offset = start & (ARGS_PAGE_BYTES - 1);
	scratch->absent = 0;
	if (mode == EXEC_ARGS_FULL && bytes <= ARGS_CAPTURED_BYTES) {
		captured = bytes;
		copy_pages(scratch, start, captured, offset, 0);
	} else if (mode == EXEC_ARGS_FULL) {
		captured = ARGS_CAPTURED_BYTES;
		copy_pages(scratch, end - ARGS_TAIL_BYTES, ARGS_TAIL_BYTES, offset + ARGS_HEAD_BYTES,
			   copy_pages(scratch, start, ARGS_HEAD_BYTES, offset, 0));
	} else if (mode == EXEC_ARGS_PROGRAM && bytes > 0 && is_in_data(offset)) {
		long length = bpf_probe_read_user_str(scratch->data + offset, ARGS_PAGE_BYTES, (const void *)start);

		if (length > 0)
			captured = length;
		else
			scratch->absent = 1;
	}
	record->args_absent = scratch->absent;
	if (unlikely(record->args_absent))
		mark_unread(record, EXEC_FIELD_ARGS);
	record->args.offset = sizeof(*record) + offset;
	record->args.length = captured;
	return offset + captured;
}

/* Writes the head of the environment to data + offset, when it is asked for, and returns the offset behind it. */
static __always_inline __u64 copy_env(struct scratch *scratch, const struct mm_struct *mm, bool wanted,
				      __u64 offset)
{
	struct exec_record *record = &scratch->record;
	__u64 captured = 0;

	record->env_bytes = 0;
	record->env_page_offset = 0;
	record->env_absent = 0;
	if (wanted) {
		__u64 start = mm->env_start;
		__u64 end = mm->env_end;

		captured = end > start ? end - start : 0;
		record->env_bytes = captured;
		record->env_page_offset = start & (ARGS_PAGE_BYTES - 1);
		if (captured > ENV_CAPTURED_BYTES) {
			captured = ENV_CAPTURED_BYTES;
			mark_unread(record, EXEC_FIELD_ENV);
		}
		scratch->absent = 0;
		copy_pages(scratch, start, captured, offset, 0);
		record->env_absent = scratch->absent;
		if (unlikely(scratch->absent))
			mark_unread(record, EXEC_FIELD_ENV);
		set_flag(record, EXEC_FLAG_ENV, true);
	}
	record->env.offset = sizeof(*record) + offset;
	record->env.length = captured;
	return offset + captured;
}

#endif
