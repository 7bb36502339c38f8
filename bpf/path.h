/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Absolute paths as the process itself would see them: up to its root, over every mount on the way. */
#ifndef BPF2KAFKA_PATH_H
#define BPF2KAFKA_PATH_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"
#include "names.h"
#include "scratch.h"

enum path_of {
	PATH_OF_EXE,
	PATH_OF_CWD,
};

#define SHORT_NAME_WORDS 2 /* what most names have room in */
#define PATH_MOUNTS 32 /* mounts on the way to the root; mounts stand on each other seldom deeper than 3 */

/* What find_names returns beside the number of names. */
#define PATH_CUT 0x1000 /* the path goes on upwards, but there is no room for more of it */
#define PATH_NONE 0x2000

/* A member of the struct that stands at this address. */
#define read_member(at, type, member)                                                                                  \
	({                                                                                                             \
		__u64 value = 0;                                                                                       \
		bpf_probe_read_kernel(&value, bpf_core_field_size(type, member),                                       \
				      (const void *)((at) + bpf_core_field_offset(type, member)));                     \
		value;                                                                                                 \
	})

/*
 * Goes on where scratch.dentry and scratch.mount are, behind so many names that take so many bytes; returns as find_names.
 *
 * The way to the mount on which a mount stands leads in front of a struct that is known by its type. So types end here,
 * and each member costs a helper's call.
 */
__noinline long find_names_above(struct scratch *scratch, __u64 names, __u64 bytes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 root_dentry = (__u64)task->fs->root.dentry;
	__u64 root_mount = (__u64)task->fs->root.mnt;

	if (!scratch)
		return PATH_NONE;

	__u64 dentry = scratch->dentry;
	__u64 mount = scratch->mount;

	for (int i = 0; i < PATH_NAMES + PATH_MOUNTS; i++) {
		if (dentry == root_dentry && mount == root_mount)
			return names;
		if (dentry == read_member(mount, struct vfsmount, mnt_root)) {
			__u64 on = mount - bpf_core_field_offset(struct mount, mnt);
			__u64 parent = read_member(on, struct mount, mnt_parent);

			/* The root of the mount namespace: the process's own root is not on the way. */
			if (parent == on)
				return names;
			dentry = read_member(on, struct mount, mnt_mountpoint);
			mount = parent + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		bytes += read_member(dentry, struct dentry, d_name.len) + 1;
		if (names >= PATH_NAMES || bytes >= PATH_BYTES)
			return names | PATH_CUT;

		__u64 at = names++;

		/* Linux 6.1 forgets the check above when clang keeps the number on the stack. */
		hide_bounds(at);
		scratch->names[at & (PATH_NAMES - 1)].address = read_member(dentry, struct dentry, d_name.name);

		__u64 parent = read_member(dentry, struct dentry, d_parent);

		if (dentry == parent)
			return names;
		dentry = parent;
	}
	return names | PATH_CUT;
}

/* Where a dentry keeps a short name inside of itself. */
enum short_names {
	SHORT_NAMES_ELSEWHERE,
	SHORT_NAMES_IN_INAME,	  /* before 6.14 */
	SHORT_NAMES_IN_SHORTNAME, /* since 6.14 */
};

/* Most names are short: read like this, they need no helper's call. What is in `text` behind a name has no meaning. */
static __always_inline void enter_name(struct path_name *name, struct dentry *dentry, __u32 length,
				       enum short_names shape)
{
	__u64 address = (__u64)dentry->d_name.name;
	const __u64 *text = (const __u64 *)&dentry->d_shortname;

	if (shape == SHORT_NAMES_IN_INAME)
		text = (const __u64 *)&((struct dentry___before_6_14 *)dentry)->d_iname;
	if (shape == SHORT_NAMES_ELSEWHERE || address != (__u64)text || length >= sizeof(name->text)) {
		name->address = address;
		return;
	}
	name->address = 0;
	name->length = length;
	/* A load of which clang makes one with the member's own offset is refused: the member is longer in some kernels. */
	hide_bounds(text);
	for (int word = 0; word < SHORT_NAME_WORDS; word++)
		name->text[word] = text[word];
	if (unlikely(length >= SHORT_NAME_WORDS * sizeof(*text)))
		for (int word = SHORT_NAME_WORDS; word < NAME_WORDS; word++)
			name->text[word] = text[word];
}

/* As find_names; a function for each shape, for the reason that is given at join_kernfs_names. */
static __always_inline long find_names_of(struct scratch *scratch, const struct path *root, struct dentry *dentry,
					  struct vfsmount *mount, enum short_names shape)
{
	struct dentry *root_dentry = root->dentry;
	struct vfsmount *root_mount = root->mnt;
	struct dentry *top = mount->mnt_root;
	__u64 names = 0;
	__u64 bytes = 0;

	for (; names < PATH_NAMES; names++) {
		if (dentry == root_dentry && mount == root_mount)
			return names;
		if (dentry == top)
			break;

		struct dentry *parent = dentry->d_parent;
		__u32 length = dentry->d_name.len;

		bytes += length + 1;
		if (bytes >= PATH_BYTES)
			return names | PATH_CUT;
		enter_name(&scratch->names[names], dentry, length, shape);
		/* It stands in no tree, as a memfd. */
		if (dentry == parent)
			return names + 1;
		dentry = parent;
	}
	scratch->dentry = (__u64)dentry;
	scratch->mount = (__u64)mount;
	return find_names_above(scratch, names, bytes);
}

/*
 * Enters the names of a path of the current task into scratch.names, the last one first; the same way as the kernel's own
 * prepend_path (fs/d_path.c), without its locks: a rename at the same moment can show in it.
 * Returns how many, with PATH_CUT or PATH_NONE.
 */
__noinline long find_names(struct scratch *scratch, __u32 of)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct dentry *dentry;
	struct vfsmount *mount;

	if (!scratch)
		return PATH_NONE;
	if (of == PATH_OF_EXE) {
		struct file *file = task->mm->exe_file;

		if (!file)
			return PATH_NONE;
		dentry = file->f_path.dentry;
		mount = file->f_path.mnt;
	} else {
		dentry = task->fs->pwd.dentry;
		mount = task->fs->pwd.mnt;
	}
	if (bpf_core_field_exists(dentry->d_shortname))
		return find_names_of(scratch, &task->fs->root, dentry, mount, SHORT_NAMES_IN_SHORTNAME);
	if (bpf_core_field_exists(((struct dentry___before_6_14 *)dentry)->d_iname))
		return find_names_of(scratch, &task->fs->root, dentry, mount, SHORT_NAMES_IN_INAME);
	return find_names_of(scratch, &task->fs->root, dentry, mount, SHORT_NAMES_ELSEWHERE);
}

#endif
