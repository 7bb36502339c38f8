/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What every stream of events has in the kernel.
 *
 * A tp_btf link cannot change its program, and detaching to attach another one loses what happens in
 * between. So two programs: a dispatcher that is attached once and never changes, and behind it, in
 * slot 0 of a program array, the one that writes the record and can be replaced under load.
 */
#ifndef BPF2KAFKA_STREAM_H
#define BPF2KAFKA_STREAM_H

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "emit.h"
#include "host.h"

/* bpf/abi.h says what each is. The addon sets how many elements the handoff has, and how many bytes a ring. */
#define RING_MAPS(ring)                                                                                                \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_RINGBUF);                                                                    \
		__uint(max_entries, 4096);                                                                             \
	} ring SEC(".maps");                                                                                           \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                     \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, struct ring_control);                                                                    \
	} ring##_control SEC(".maps")

#define ACCOUNT_MAPS(name)                                                                                             \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                     \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, struct stream_control);                                                                  \
	} name##_stream SEC(".maps");                                                                                  \
	RING_MAPS(name##_ring)

/* Between a dispatcher and the program behind it. */
#define DISPATCH_MAPS(name)                                                                                            \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, struct handoff);                                                                         \
	} name##_handoff SEC(".maps");                                                                                 \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                                                 \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, __u32);                                                                                  \
	} name##_programs SEC(".maps")

#define STREAM_MAPS(name)                                                                                              \
	ACCOUNT_MAPS(name);                                                                                            \
	DISPATCH_MAPS(name)

/* Set at load, to a number of its own. */
const volatile __u64 attachment = 0;

/*
 * Counts an event and hands it to the program in slot 0. `attached` is that of the stream in host_control; the maps are
 * those of ACCOUNT_MAPS and DISPATCH_MAPS.
 */
static __always_inline void dispatch(void *ctx, struct host_control *h, struct attachment *attached, void *streams,
				     void *handoffs, void *programs)
{
	__u32 zero = 0;
	__u32 cpu = bpf_get_smp_processor_id();
	struct stream_control *stream = bpf_map_lookup_elem(streams, &zero);
	struct handoff *handoff = bpf_map_lookup_elem(handoffs, &cpu);

	if (!stream || !handoff)
		return; /* never: the maps have these elements */
	/* The kernel may keep it attached for a while after its link is gone. */
	if (*(volatile __u64 *)&attached->number != attachment || becomes_orphaned(h))
		return;

	__u64 epoch = *(volatile __u64 *)&h->epoch;
	struct stream_counters *counters = &stream->counters[epoch & 1];

	count(&counters->entered);
	handoff->epoch = epoch;
	bpf_tail_call(ctx, programs, 0);
	count(&counters->fell_through);
}

#endif
