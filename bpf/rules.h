/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* What counts for each rule that keeps execs out. */
#ifndef BPF2KAFKA_RULES_H
#define BPF2KAFKA_RULES_H

#include <bpf/bpf_helpers.h>

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EXEC_RULES);
	__type(key, __u32);
	__type(value, struct exec_rule);
} exec_rules SEC(".maps");

#endif
