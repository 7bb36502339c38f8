/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* execve and execveat as the calling program made them: which system call it was, and what it was given. */
#ifndef BPF2KAFKA_EXEC_CALL_H
#define BPF2KAFKA_EXEC_CALL_H

#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "scratch.h"

/* The addon sets it before it loads the programs. */
const volatile __u32 args_mode = EXEC_ARGS_FULL; /* enum exec_args */

#define GIVEN_ARGS 512 /* that are looked at */

/* Addresses in the memory of the program. */
struct exec_call {
	__u64 filename;
	__u64 argv;
	__u64 pointer_bytes; /* in argv: 4 or 8 */
};

#ifdef __TARGET_ARCH_x86

#define TS_COMPAT 2	       /* arch/x86/include/asm/thread_info.h: a call of 32 bits */
#define X32_SYSCALL 0x40000000 /* __X32_SYSCALL_BIT */

/* The numbers are those of arch/x86/entry/syscalls. False when the call that ends here is another one. */
static __always_inline bool read_exec_call(struct task_struct *task, struct pt_regs *regs, struct exec_call *call)
{
	__u64 nr = regs->orig_ax;
	bool compat = task->thread_info.status & TS_COMPAT;
	bool execve = compat ? nr == 11 : nr == 59 || nr == (X32_SYSCALL | 520);
	bool execveat = compat ? nr == 358 : nr == 322 || nr == (X32_SYSCALL | 545);

	if (!execve && !execveat)
		return false;
	call->pointer_bytes = compat || nr & X32_SYSCALL ? 4 : 8;
	if (compat) {
		call->filename = execve ? regs->bx : regs->cx;
		call->argv = execve ? regs->cx : regs->dx;
	} else {
		call->filename = execve ? regs->di : regs->si;
		call->argv = execve ? regs->si : regs->dx;
	}
	return true;
}

#else

#define TIF_32BIT 22 /* arch/arm64/include/asm/thread_info.h */

/* The numbers are those of include/uapi/asm-generic/unistd.h, and of arch/arm/tools/syscall.tbl. */
static __always_inline bool read_exec_call(struct task_struct *task, struct pt_regs *regs, struct exec_call *call)
{
	int nr = regs->syscallno;
	bool compat = task->thread_info.flags >> TIF_32BIT & 1;
	bool execve = nr == (compat ? 11 : 221);
	bool execveat = nr == (compat ? 387 : 281);

	if (!execve && !execveat)
		return false;
	call->pointer_bytes = compat ? 4 : 8;
	call->filename = execve ? regs->orig_x0 : regs->regs[1];
	call->argv = execve ? regs->regs[1] : regs->regs[2];
	return true;
}

#endif

/*
 * Writes the arguments that the call was given, or as many of them as args_mode says, to data + offset, and returns the
 * offset behind them. Where memory is absent, an argument has more than a page, or there are too many, the rest is missing:
 * then the field is marked, and neither count nor bytes are those of all.
 *
 * The verifier goes through each turn of the loop. What does not change in it must not be a branch there, or it tries both
 * ways in each turn: so the mode is a constant, and the width of a pointer a number.
 */
__noinline long copy_given_argv(__u64 argv, __u64 pointer_bytes, __u64 offset)
{
	struct scratch *scratch = scratch_of_cpu();
	__u64 start = offset;
	__u64 count = 0;
	bool whole = argv == 0; /* as Linux takes it */

	if (!scratch)
		return 0; /* never */
	if (pointer_bytes != 4)
		pointer_bytes = 8;
	for (; !whole && count < GIVEN_ARGS; count++) {
		__u64 argument = 0;

		hide_bounds(pointer_bytes);
		if (pointer_bytes > sizeof(argument) ||
		    bpf_probe_read_user(&argument, pointer_bytes, (const void *)(argv + count * pointer_bytes)))
			break;
		if (argument == 0) {
			whole = true;
			break;
		}
		if (args_mode == EXEC_ARGS_NONE || (args_mode == EXEC_ARGS_PROGRAM && count > 0))
			continue;
		if (offset - start > ARGS_CAPTURED_BYTES - ARGS_PAGE_BYTES || !is_in_data(offset))
			break;

		long length = bpf_probe_read_user_str(scratch->data + offset, ARGS_PAGE_BYTES, (const void *)argument);

		if (length <= 0)
			break;
		offset += length;
		if (length == ARGS_PAGE_BYTES)
			break;
	}

	struct exec_record *record = &scratch->record;

	record->args_mode = args_mode;
	record->args_count = count;
	record->args_bytes = offset - start;
	record->args_page_offset = 0;
	record->args_absent = 0;
	record->args.offset = sizeof(*record) + start;
	record->args.length = offset - start;
	if (!whole)
		mark_unread(record, EXEC_FIELD_ARGS);
	return offset;
}

#endif
