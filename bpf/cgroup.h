/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The cgroup at the moment of the exec: a process that lives a millisecond still has it here. */
#ifndef BPF2KAFKA_CGROUP_H
#define BPF2KAFKA_CGROUP_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "kernel_types.h"
#include "names.h"
#include "scratch.h"

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node, bool before_6_15)
{
	return before_6_15 ? ((struct kernfs_node___before_6_15 *)node)->parent : node->__parent;
}

/*
 * A loop for each shape of the struct: out of one around both, clang takes the offset of the member that this kernel does
 * not have, and the verifier finds it outside of the branch that is never taken.
 */
static __always_inline long join_kernfs_names(struct exec_scratch *scratch, struct kernfs_node *node, __u64 offset,
					      bool before_6_15)
{
	for (__u64 names = 0; names < PATH_NAMES; names++) {
		struct kernfs_node *parent = kernfs_parent(node, before_6_15);

		/* The root has no name. */
		if (!parent)
			return join_names(offset, names);
		scratch->names[names].address = (__u64)node->name;
		node = parent;
	}
	return kernfs_parent(node, before_6_15) ? -1 : join_names(offset, PATH_NAMES);
}

/*
 * Writes the path in the unified hierarchy, "/" for its root, to data + offset and returns the offset behind it. A path
 * that does not fit, or of which a name cannot be read, is left out whole (-1): it is never cut.
 */
__noinline long copy_cgroup_path(__u64 offset)
{
	struct exec_scratch *scratch = scratch_of_cpu();
	struct task_struct *task = bpf_get_current_task_btf();
	struct kernfs_node *node = task->cgroups->dfl_cgrp->kn;

	if (!scratch)
		return -1;
	if (bpf_core_field_exists(node->__parent))
		return join_kernfs_names(scratch, node, offset, false);
	return join_kernfs_names(scratch, node, offset, true);
}

#endif
