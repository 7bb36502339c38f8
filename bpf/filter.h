/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Rules that keep an exec out. They belong to this instance of the program: other rules come with another instance, which
 * takes its place in one store, so that an exec falls under all of the old ones or under all of the new ones.
 */
#ifndef BPF2KAFKA_FILTER_H
#define BPF2KAFKA_FILTER_H

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "emit.h"
#include "rules.h"
#include "scratch.h"

/* Set by the addon before it loads. The verifier knows them: without rules it leaves all of this out. */
const volatile bool excludes_exe = false;
const volatile bool excludes_uid = false;
const volatile bool excludes_cgroup = false;

/* From here on values are places in exec_rules, and the addon sets the sizes. The longest prefix wins. */
struct excluded_paths {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct path_prefix);
	__type(value, __u32);
};
struct excluded_paths excluded_exes SEC(".maps");
struct excluded_paths excluded_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} excluded_uids SEC(".maps");

/*
 * A whole path is looked up with its NUL, so that the rule for a whole path, which has it too, fits no longer one. A path
 * without room for its NUL can be met by the beginning of paths only. One that could not be read is empty: no rule fits.
 */
static __always_inline __u32 *find_path(void *paths, struct scratch *scratch, const struct span *path)
{
	struct path_prefix *prefix = &scratch->prefix;
	__u64 offset = (__u64)path->offset - sizeof(struct exec_record);
	__u64 length = path->length;

	if (!is_in_data(offset))
		return 0; /* never: it is where the path was written */
	bpf_probe_read_kernel(prefix->text, sizeof(prefix->text), scratch->data + offset);
	prefix->bits = 8 * sizeof(prefix->text);
	hide_bounds(length);
	if (length < sizeof(prefix->text)) {
		prefix->text[length] = 0;
		prefix->bits = 8 * (length + 1);
	}
	return bpf_map_lookup_elem(paths, prefix);
}

/*
 * The place among EXEC_RULES of the rule that keeps the exec out whose record is in the scratch, and counts it: the first
 * one that fits. -1: it is not kept out.
 */
__noinline long filtering_rule(void)
{
	struct scratch *scratch = scratch_of_cpu();
	__u32 *place = 0;

	if (!scratch)
		return -1; /* never */

	struct exec_record *record = &scratch->record;

	if (excludes_uid)
		place = bpf_map_lookup_elem(&excluded_uids, &record->uid);
	if (!place && excludes_exe)
		place = find_path(&excluded_exes, scratch, &record->exe);
	if (!place && excludes_cgroup)
		place = find_path(&excluded_cgroups, scratch, &record->cgroup_path);
	if (!place)
		return -1;

	struct exec_rule *rule = bpf_map_lookup_elem(&exec_rules, place);

	if (!rule)
		return -1; /* never: the addon enters them first */
	count(&rule->execs[record->epoch & 1]);
	return *place;
}

#define has_filters (excludes_exe || excludes_uid || excludes_cgroup)

#endif
