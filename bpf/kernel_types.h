/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * The only kernel structs that are read, and of each only the members that are. CO-RE moves every access
 * to where the running kernel has the member. The width that is declared here is the width that is read:
 * it must be the kernel's. A name after ___ is a flavour of the same kernel struct.
 */
#ifndef BPF2KAFKA_KERNEL_TYPES_H
#define BPF2KAFKA_KERNEL_TYPES_H

#include <linux/types.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded" /* not our layout */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
};

struct kernfs_node {
	const char *name;
	__u64 id; /* since 5.5 */
	struct kernfs_node *__parent; /* since 6.15, under RCU */
};

struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* in the unified hierarchy */
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime; /* ns; since 5.5 */
	__u64 self_exec_id;   /* 64 bits since 5.7 */
	const struct cred *cred;
	char comm[16];
	struct mm_struct *mm;
	struct css_set *cgroups;
};

struct linux_binprm {
	int argc;
	const char *filename;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

#endif
