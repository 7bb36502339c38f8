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

/* When the whole has no room, what is left is that there was an exec, and whose. */
static __always_inline void send_whole_or_bare(struct exec_record *record, __u64 bytes, struct stream_counters *counters,
					       struct ring_control *control, struct ring_control *bare_control)
{
	__u64 *lost = send(&exec_ring, control, counters, &record->seq, bytes);

	if (!lost)
		return;
	if (send(&exec_bare_ring, bare_control, counters, &record->seq, EXEC_BARE_BYTES))
		count(lost);
	else
		count(&counters->bare);
}

#endif
