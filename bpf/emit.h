/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The only way to send a record: number it, submit it, say why it could not go. */
#ifndef BPF2KAFKA_EMIT_H
#define BPF2KAFKA_EMIT_H

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"

#define RECORD_HEADER_BYTES 8 /* BPF_RINGBUF_HDR_SZ */

static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/*
 * A reader that lags keeps the kernel from waking it (its consumer position is not the record's), so
 * programs wake it by hand, and only when it said that it sleeps.
 */
static __always_inline bool take_armed(struct ring_control *control)
{
	return control->armed && __sync_val_compare_and_swap(&control->armed, 1, 0) == 1;
}

/* The number is taken even when the record finds no room: the hole in the sequence is the loss, seen from outside. */
static __always_inline void number(struct stream_control *stream, __u64 *record)
{
	*record = __sync_fetch_and_add(&stream->seq, 1);
}

/*
 * `record` begins with its number; `bytes` is how much of it is sent. Returns 0 when it stands in the ring; otherwise the
 * counter of the reason, in which it counts when it is lost.
 */
static __always_inline __u64 *send(void *ring, struct ring_control *control, struct stream_counters *counters,
				   __u64 *record, __u64 bytes)
{
	__u64 flags = take_armed(control) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (likely(bpf_ringbuf_output(ring, record, bytes, flags) == 0)) {
		/*
		 * The reader may have armed after we looked and gone to sleep before our record stood in the
		 * ring. Output is a full barrier, and the reader looks again after it armed: one of us sees
		 * the other. A discarded record carries the wake-up.
		 */
		if (unlikely(flags == BPF_RB_NO_WAKEUP && take_armed(control))) {
			void *empty = bpf_ringbuf_reserve(ring, 8, 0);
			if (empty)
				bpf_ringbuf_discard(empty, BPF_RB_FORCE_WAKEUP);
			else
				control->armed = 1;
		}
		return 0;
	}

	if (flags == BPF_RB_FORCE_WAKEUP)
		control->armed = 1;

	/* The kernel says -EAGAIN for both; the room at this moment tells them apart. */
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	__u64 needed = (bytes + RECORD_HEADER_BYTES + 7) & ~7ULL;
	if (waiting + needed >= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE))
		return &counters->ring_full;
	return &counters->ring_busy;
}

#endif
