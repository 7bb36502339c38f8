/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The account and the rings of the stream "exec", which execs that succeed share with those that fail. */
#ifndef BPF2KAFKA_EXEC_RING_H
#define BPF2KAFKA_EXEC_RING_H

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "emit.h"
#include "stream.h"

ACCOUNT_MAPS(exec);
RING_MAPS(exec_bare_ring);

/* Numbers the record and sends it. When the whole has no room, what is left is that there was an exec, and whose. */
static __always_inline void send_whole_or_bare(struct exec_record *record, __u64 bytes)
{
	__u32 zero = 0;
	struct stream_control *stream = bpf_map_lookup_elem(&exec_stream, &zero);
	struct ring_control *control = bpf_map_lookup_elem(&exec_ring_control, &zero);
	struct ring_control *bare_control = bpf_map_lookup_elem(&exec_bare_ring_control, &zero);

	if (!stream || !control || !bare_control)
		return; /* never: the maps have these elements */

	struct stream_counters *counters = &stream->counters[record->epoch & 1];

	number(stream, &record->seq);

	__u64 *lost = send(&exec_ring, control, counters, &record->seq, bytes);

	if (!lost)
		return;
	if (send(&exec_bare_ring, bare_control, counters, &record->seq, EXEC_BARE_BYTES))
		count(lost);
	else
		count(&counters->bare);
}

#endif
