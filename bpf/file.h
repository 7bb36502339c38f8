/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Which file runs, and the signs of one that was never in an image or is not there any more. */
#ifndef BPF2KAFKA_FILE_H
#define BPF2KAFKA_FILE_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "kernel_types.h"
#include "scratch.h"

#define OVERLAYFS_MAGIC 0x794c7630 /* include/uapi/linux/magic.h */
/* The top bit says whether the time was asked for since it changed (I_CTIME_QUERIED, include/linux/fs.h, since 6.13). */
#define CTIME_NANOSECONDS 0x7fffffff

static __always_inline __s64 milliseconds(__s64 seconds, __u32 nanoseconds)
{
	return seconds * 1000 + nanoseconds / 1000000;
}

static __always_inline __s64 changed_content_at(struct inode *inode)
{
	struct inode___before_6_11 *before_6_11 = (void *)inode;
	struct inode___before_6_7 *before_6_7 = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec))
		return milliseconds(inode->i_mtime_sec, inode->i_mtime_nsec);
	if (bpf_core_field_exists(before_6_11->__i_mtime))
		return milliseconds(before_6_11->__i_mtime.tv_sec, before_6_11->__i_mtime.tv_nsec);
	return milliseconds(before_6_7->i_mtime.tv_sec, before_6_7->i_mtime.tv_nsec);
}

static __always_inline __s64 changed_status_at(struct inode *inode)
{
	struct inode___before_6_11 *before_6_11 = (void *)inode;
	struct inode___before_6_6 *before_6_6 = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_sec))
		return milliseconds(inode->i_ctime_sec, inode->i_ctime_nsec & CTIME_NANOSECONDS);
	if (bpf_core_field_exists(before_6_11->__i_ctime))
		return milliseconds(before_6_11->__i_ctime.tv_sec, before_6_11->__i_ctime.tv_nsec);
	return milliseconds(before_6_6->i_ctime.tv_sec, before_6_6->i_ctime.tv_nsec);
}

/* "memfd:" as a little-endian number: clang 14 makes a call of memcmp of a comparison of bytes. */
#define MEMFD_PREFIX 0x3a64666d656dULL
#define MEMFD_PREFIX_BYTES 6

/* A memfd stands in no directory, and its name begins so (mm/memfd.c); nothing else that can be executed is like it. */
static __always_inline bool is_memfd(struct dentry *dentry)
{
	__u64 beginning = 0;

	if (likely(dentry != dentry->d_parent))
		return false;
	bpf_probe_read_kernel(&beginning, MEMFD_PREFIX_BYTES, dentry->d_name.name);
	return beginning == MEMFD_PREFIX;
}

/*
 * Whether overlayfs has the file in its upper layer: it was written or changed in this container, not in its image. The
 * dentry of that layer is the member behind the inode (struct ovl_inode, fs/overlayfs/ovl_entry.h); its type is in a
 * module, which may not be loaded yet.
 */
static __always_inline void read_overlay(struct exec_record *record, struct inode *inode)
{
	__u64 upper = 0;

	if (likely(inode->i_sb->s_magic != OVERLAYFS_MAGIC))
		return;
	if (bpf_probe_read_kernel(&upper, sizeof(upper), (const char *)inode + bpf_core_type_size(struct inode)))
		mark_unread(record, EXEC_FIELD_FILE_OVERLAY_UPPER);
	set_flag(record, EXEC_FLAG_FILE_OVERLAY_UPPER, upper != 0);
}

static __always_inline void read_file(struct exec_record *record, struct file *file)
{
	struct inode *inode = file->f_inode;
	struct dentry *dentry = file->f_path.dentry;

	record->file_inode = inode->i_ino;
	record->file_device = inode->i_sb->s_dev;
	record->file_mode = inode->i_mode;
	record->file_uid = inode->i_uid.val;
	record->file_gid = inode->i_gid.val;
	record->file_nlink = inode->i_nlink;
	record->file_mtime_ms = changed_content_at(inode);
	record->file_ctime_ms = changed_status_at(inode);
	set_flag(record, EXEC_FLAG_FILE_MEMFD, is_memfd(dentry));
	/* Its last name was removed, or the one by which it was opened: then the dentry is in no hash table any more. */
	set_flag(record, EXEC_FLAG_FILE_DELETED,
		 record->file_nlink == 0 || (!dentry->d_hash.pprev && dentry != dentry->d_parent));
	read_overlay(record, inode);
}

#endif
