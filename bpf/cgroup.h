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
static __always_inline long join_kernfs_names(struct scratch *scratch, struct kernfs_node *node, __u64 offset,
					      bool before_6_15)
{
	for (__u64 names = 0; names < PATH_NAMES; names++) {
		struct kernfs_node *parent = kernfs_parent(node, before_6_15);

		/* The root has no name. */
		if (!parent)
			return join_names(scratch, offset, names);
		scratch->names[names].address = (__u64)node->name;
		node = parent;
	}
	return kernfs_parent(node, before_6_15) ? -1 : join_names(scratch, offset, PATH_NAMES);
}

/*
 * Where a controller has the process: in a hierarchy of version 1 its own cgroup, in the unified one the nearest above it
 * for which the controller is enabled. A kernel without the controller: the process's cgroup in the unified hierarchy.
 */
#define cgroup_of(css_set, controller)                                                                                 \
	({                                                                                                             \
		struct cgroup *of = (css_set)->dfl_cgrp;                                                               \
		if (bpf_core_enum_value_exists(enum cgroup_subsys_id, controller)) {                                   \
			struct cgroup_subsys_state **subsys = (css_set)->subsys;                                       \
			of = subsys[bpf_core_enum_value(enum cgroup_subsys_id, controller)]->cgroup;                   \
		}                                                                                                      \
		of;                                                                                                    \
	})

/*
 * In the unified hierarchy (version 2), when the process is anywhere below its root. Where controllers are of version 1,
 * nobody need put it there; then the first of three in which it is not at the root: systemd gives each unit a cgroup of
 * pids, the kubelet wants memory, runc devices.
 */
static __always_inline struct cgroup *cgroup_of_process(struct css_set *css_set)
{
	struct cgroup *cgroup = css_set->dfl_cgrp;

	if (cgroup->level > 0)
		return cgroup;
	cgroup = cgroup_of(css_set, pids_cgrp_id);
	if (cgroup->level > 0)
		return cgroup;
	cgroup = cgroup_of(css_set, memory_cgrp_id);
	if (cgroup->level > 0)
		return cgroup;
	return cgroup_of(css_set, devices_cgrp_id);
}

/*
 * Writes the path of the process's cgroup, "/" for the root of its hierarchy, to data + offset and returns the offset
 * behind it. A path that does not fit, or of which a name cannot be read, is left out whole (-1): it is never cut.
 */
__noinline long copy_cgroup_path(struct scratch *scratch, __u64 offset)
{
	struct kernfs_node *node = cgroup_of_process(bpf_get_current_task_btf()->cgroups)->kn;

	if (!scratch)
		return -1;
	if (bpf_core_field_exists(((struct kernfs_node *)0)->__parent))
		return join_kernfs_names(scratch, node, offset, false);
	return join_kernfs_names(scratch, node, offset, true);
}

#endif
