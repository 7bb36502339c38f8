/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The cgroup at the moment of the exec: a process that lives a millisecond still has it here. */
#ifndef BPF2KAFKA_CGROUP_H
#define BPF2KAFKA_CGROUP_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "kernel_types.h"

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
}

/*
 * Writes the path in the unified hierarchy, "/" for its root, to data + offset and returns the offset
 * behind it. The room ends at FILENAME_BYTES + CGROUP_PATH_BYTES, wherever the path begins. A path that
 * is deeper than CGROUP_LEVELS or does not fit, or a name in it that cannot be read, leaves the whole path
 * out and marks it as unread: it is never cut.
 */
static __always_inline __u64 copy_cgroup_path(struct exec_record *record, struct kernfs_node *node, char *data,
					      __u64 offset)
{
	const char *names[CGROUP_LEVELS] = {};
	const __u64 start = offset;
	int levels = 0;
	bool reached_root = false;
	bool complete = node != NULL;

	for (int i = 0; i < CGROUP_LEVELS; i++) {
		struct kernfs_node *parent = kernfs_parent(node);
		if (!parent) {
			reached_root = true;
			break;
		}
		names[i] = BPF_CORE_READ(node, name);
		levels = i + 1;
		node = parent;
	}
	if (!reached_root && kernfs_parent(node))
		complete = false;

#pragma clang loop unroll(full)
	for (int i = CGROUP_LEVELS - 1; i >= 0; i--) {
		if (i >= levels)
			continue;
		hide_bounds(offset);
		if (offset > FILENAME_BYTES + CGROUP_PATH_BYTES - CGROUP_NAME_BYTES - 1) {
			complete = false;
			break;
		}
		data[offset] = '/';
		long bytes = bpf_probe_read_kernel_str(data + offset + 1, CGROUP_NAME_BYTES, names[i]);
		if (bytes <= 0 || bytes > CGROUP_NAME_BYTES) {
			complete = false;
			break;
		}
		offset += bytes; /* the slash counts for the NUL */
	}

	if (!complete) {
		record->unread |= 1ULL << EXEC_FIELD_CGROUP_PATH;
		return start;
	}
	if (offset == start) {
		hide_bounds(offset);
		if (offset > FILENAME_BYTES)
			return start;
		data[offset++] = '/';
	}
	return offset;
}

#endif
