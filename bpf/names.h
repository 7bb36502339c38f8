/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Paths are found from their end on, in the kernel as here: first the addresses of the names, then the names. */
#ifndef BPF2KAFKA_NAMES_H
#define BPF2KAFKA_NAMES_H

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "bounds.h"
#include "scratch.h"

/*
 * Writes a path to data + offset: the names in scratch.names, last one first, each with a slash in front; "/" when there
 * is none.
 * Returns the offset behind it; -1 when a name could not be read or the path would be PATH_BYTES or longer.
 */
__noinline long join_names(struct scratch *scratch, __u64 offset, __u64 names)
{
	__u64 end = offset + PATH_BYTES;

	if (!scratch || !is_in_data(offset))
		return -1;
	if (names == 0)
		scratch->data[offset++] = '/';
	for (__u64 i = 0; i < PATH_NAMES && i < names; i++) {
		__u64 at = names - 1 - i;

		hide_bounds(at);
		if (at >= PATH_NAMES || offset >= end || !is_in_data(offset))
			return -1;
		scratch->data[offset] = '/';

		struct path_name *name = &scratch->names[at];

		if (name->address) {
			long bytes = bpf_probe_read_kernel_str(scratch->data + offset + 1, NAME_BYTES,
							       (const void *)name->address);

			if (bytes <= 0)
				return -1;
			offset += bytes; /* the slash counts for the NUL */
		} else {
			__u64 *text = (__u64 *)(scratch->data + offset + 1);

			for (int word = 0; word < NAME_WORDS; word++)
				text[word] = name->text[word];
			offset += 1 + (name->length & (sizeof(name->text) - 1));
		}
	}
	return offset < end ? (long)offset : -1;
}

#endif
