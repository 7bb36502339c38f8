/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Where a record is put together, one element a possible CPU. A per-CPU array cannot hold elements of
 * more than 32 KiB. It belongs to this program alone: a newer one that runs beside it for a moment during
 * an upgrade, on the same CPU when the kernel preempts, has its own.
 *
 * The parts of the record program that the verifier looks at once, and not again for each way that leads to
 * them, are global functions. Those take numbers and the scratch, which to the verifier may be null there.
 *
 * The object file says what is put together: SCRATCH_RECORD is the struct, SCRATCH_DATA_BYTES what its strings take at
 * most.
 */
#ifndef BPF2KAFKA_SCRATCH_H
#define BPF2KAFKA_SCRATCH_H

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"

/* A write may begin anywhere in the room of the strings and is checked afterwards; a page is the longest one. */
#define SLACK_BYTES ARGS_PAGE_BYTES

#define NAME_WORDS 4 /* what every kernel has room for inside of a dentry (DNAME_INLINE_LEN, include/linux/dcache.h) */

/* A name on the way up. */
struct path_name {
	__u64 address; /* in the kernel, ended by a NUL; 0: it is in `text` */
	__u64 length;  /* of `text` */
	__u64 text[NAME_WORDS];
};

/* Key of a trie: a path, or the beginning of one. */
struct path_prefix {
	__u32 bits; /* of `text` */
	char text[EXEC_RULE_PATH_BYTES];
};

struct scratch {
	__u64 absent; /* as exec_record.args_absent */
	__u64 dentry; /* where on the way to the root the names end: struct dentry, struct vfsmount */
	__u64 mount;
	struct path_name names[PATH_NAMES]; /* the last one of a path first */
	struct path_prefix prefix;
	__u32 reserved;
	/* What is sent: */
	SCRATCH_RECORD record;
	char data[SCRATCH_DATA_BYTES + SLACK_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the addon sets the number */
	__type(key, __u32);
	__type(value, struct scratch);
} scratch_slots SEC(".maps");

static __always_inline struct scratch *scratch_of_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratch_slots, &cpu);
}

/* Whether a write can begin here; for the verifier, since each string keeps to its room. */
#define is_in_data(offset)                                                                                             \
	({                                                                                                             \
		hide_bounds(offset);                                                                                   \
		(offset) <= SCRATCH_DATA_BYTES;                                                                          \
	})

/* `field` is a bit of the record's `unread`. */
static __always_inline void mark_unread(SCRATCH_RECORD *record, __u32 field)
{
	record->unread |= 1ULL << field;
}

/* `value` is 0 or 1. */
#define set_flag(record, flag, value) ((record)->flags |= (__u32)(value) << (flag))

/*
 * Enters the string that stands at data + offset, and returns the offset behind it. `end` is what one of the functions
 * that write strings returned: the offset behind it, or a negative number, which leaves it empty and marks the field.
 */
static __always_inline __u64 enter_string(SCRATCH_RECORD *record, struct span *span, __u32 field, __u64 offset,
					  long end)
{
	if (unlikely(end < 0)) {
		mark_unread(record, field);
		end = offset;
	}
	span->offset = sizeof(*record) + offset;
	span->length = end - offset;
	return end;
}

#endif
