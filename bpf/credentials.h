/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Who runs the new program, what that may do, and whether the exec made it more. */
#ifndef BPF2KAFKA_CREDENTIALS_H
#define BPF2KAFKA_CREDENTIALS_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "scratch.h"

#define AUDIT_UNSET 0xffffffff	 /* AUDIT_UID_UNSET, AUDIT_SID_UNSET (include/linux/audit.h) */
#define NO_NEW_PRIVS_BIT 0	 /* PFA_NO_NEW_PRIVS (include/linux/sched.h) */
#define capabilities(set) (*(const __u64 *)&(set))

static __always_inline void read_credentials(struct exec_record *record, const struct cred *cred)
{
	record->uid = cred->uid.val;
	record->gid = cred->gid.val;
	record->euid = cred->euid.val;
	record->egid = cred->egid.val;
	record->suid = cred->suid.val;
	record->sgid = cred->sgid.val;
	record->cap_effective = capabilities(cred->cap_effective);
	record->cap_permitted = capabilities(cred->cap_permitted);
	record->cap_inheritable = capabilities(cred->cap_inheritable);
	record->cap_ambient = capabilities(cred->cap_ambient);
	record->cap_bounding = capabilities(cred->cap_bset);
}

/*
 * The credentials of before are gone, but the file was opened with them, by the same thread in the same system call. The
 * effective id is another one now only when the file's set-id bit gave it, or when the kernel, which does not let that bit
 * work under a tracer, put the real id in its place (security/commoncap.c): that one is no gain.
 */
static __always_inline void read_gain(struct exec_record *record, struct file *file)
{
	__u32 euid = record->euid;
	__u32 egid = record->egid;

	if (unlikely(euid != record->uid || egid != record->gid)) {
		const struct cred *before = file->f_cred;

		set_flag(record, EXEC_FLAG_SETUID, is_not_zero(euid ^ before->euid.val) & is_not_zero(euid ^ record->uid));
		set_flag(record, EXEC_FLAG_SETGID, is_not_zero(egid ^ before->egid.val) & is_not_zero(egid ^ record->gid));
	}
}

static __always_inline void read_restrictions(struct exec_record *record, struct task_struct *task)
{
	set_flag(record, EXEC_FLAG_NO_NEW_PRIVS, task->atomic_flags >> NO_NEW_PRIVS_BIT & 1);
	/* A kernel can be built without these two. */
	record->seccomp_mode = 0;
	if (bpf_core_field_exists(task->seccomp.mode))
		record->seccomp_mode = task->seccomp.mode;
	else
		mark_unread(record, EXEC_FIELD_SECCOMP_MODE);
	record->loginuid = AUDIT_UNSET;
	record->session_id = AUDIT_UNSET;
	if (bpf_core_field_exists(task->loginuid)) {
		record->loginuid = task->loginuid.val;
		record->session_id = task->sessionid;
	}
}

#endif
