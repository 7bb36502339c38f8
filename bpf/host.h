/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The map that every object file shares: the addon pins it once, and each finds it there. */
#ifndef BPF2KAFKA_HOST_H
#define BPF2KAFKA_HOST_H

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct host_control);
} host SEC(".maps");

/* Whether it is known that nobody reads. */
static __always_inline bool is_orphaned(const struct host_control *h)
{
	return *(volatile __u64 *)&h->read_until & ORPHANED;
}

/*
 * The same, looking at the time: only where events are seldom. Monotonic time stands still while the host sleeps, and so
 * does the owner.
 */
static __always_inline bool becomes_orphaned(struct host_control *h)
{
	__u64 until = *(volatile __u64 *)&h->read_until;

	if (until & ORPHANED)
		return true;
	if (!until || bpf_ktime_get_ns() < until)
		return false;
	__sync_val_compare_and_swap(&h->read_until, until, ORPHANED | bpf_ktime_get_boot_ns());
	/* The owner may have come back in between. */
	return is_orphaned(h);
}

#endif
