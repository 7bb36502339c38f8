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

/* An array of two words before 6.3: 64 bits of either are read whole. */
typedef struct {
	__u64 val;
} kernel_cap_t;

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct cgroup_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct cgroup_namespace *cgroup_ns;
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_inheritable;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	kernel_cap_t cap_bset;
	kernel_cap_t cap_ambient;
	struct user_namespace *user_ns;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino; /* u64 since 7.1 */
	unsigned int i_nlink;
	__s64 i_mtime_sec; /* these four since 6.11 */
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
};

struct inode___before_6_11 {
	struct timespec64 __i_mtime; /* since 6.7 */
	struct timespec64 __i_ctime; /* since 6.6 */
};

struct inode___before_6_7 {
	struct timespec64 i_mtime;
};

struct inode___before_6_6 {
	struct timespec64 i_ctime;
};

union shortname_store {
	unsigned long words[5];
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev; /* null: in no list */
};

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent; /* itself at the root of its file system */
	struct qstr d_name;
	union shortname_store d_shortname; /* since 6.14 */
};

struct dentry___before_6_14 {
	unsigned char d_iname[32];
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent; /* itself at the root of its namespace */
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	const struct cred *f_cred; /* of who opened it */
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct file *exe_file;
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
	int level; /* below the root of its hierarchy, which is at 0 */
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

/* The controllers that are built in, in an order of the kernel's own. */
enum cgroup_subsys_id {
	pids_cgrp_id,
	memory_cgrp_id,
	devices_cgrp_id,
};

struct css_set {
	struct cgroup_subsys_state *subsys[1]; /* CGROUP_SUBSYS_COUNT, by enum cgroup_subsys_id */
	struct cgroup *dfl_cgrp;	       /* in the unified hierarchy */
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1, the initial namespace's first; no length since 6.5 */
};

struct tty_struct {
	char name[64];
};

struct list_head {
	struct list_head *next;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct seqcount {
	unsigned int sequence; /* odd while something is written */
} seqcount_t;

typedef struct seqcount_spinlock {
	seqcount_t seqcount;
} seqcount_spinlock_t;

typedef struct {
	seqcount_spinlock_t seqcount;
} seqlock_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to end */
	int nr_threads; /* in the list of threads: those of the group that have not been released */
	struct list_head thread_head;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	seqlock_t stats_lock; /* of these three, which are of released threads */
	__u64 utime;	      /* ns */
	__u64 stime;
	unsigned long long sum_sched_runtime;
	unsigned long maxrss; /* pages; set by the last thread when it ends */
};

struct sched_entity {
	__u64 sum_exec_runtime; /* ns, up to the last tick or switch */
};

struct seccomp {
	int mode;
};

/* At a system call. */
#ifdef __TARGET_ARCH_x86
struct thread_info {
	__u32 status;
};

struct pt_regs {
	unsigned long bx;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#else
struct thread_info {
	unsigned long flags;
};

struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	int syscallno;
};
#endif

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	struct sched_entity se;
	int exit_code;
	int pid;
	int tgid;
	__u64 utime; /* ns */
	__u64 stime;
	struct list_head thread_node;
	unsigned long atomic_flags;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime; /* ns; since 5.5 */
	__u64 self_exec_id;   /* 64 bits since 5.7 */
	const struct cred *cred;
	char comm[16];
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid;	/* this and the next with CONFIG_AUDIT */
	unsigned int sessionid;
	struct seccomp seccomp; /* empty without CONFIG_SECCOMP */
	struct css_set *cgroups;
};

struct linux_binprm {
	struct file *file;
	int argc;
	const char *filename;
	const char *interp;
};

/* The tracepoint's arguments: the last one since 6.16. It exists only where they are so many. */
typedef void (*btf_trace_sched_process_exit)(void *data, struct task_struct *task, _Bool group_dead);

#pragma clang attribute pop
#pragma clang diagnostic pop

#endif
