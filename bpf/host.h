/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The map that every object file shares: the addon pins it once, and each finds it there. */
#ifndef BPF2KAFKA_HOST_H
#define BPF2KAFKA_HOST_H

#include <bpf/bpf_helpers.h>

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct host_control);
} host SEC(".maps");

#endif
