/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
#ifndef BPF2KAFKA_COMM_H
#define BPF2KAFKA_COMM_H

#include <linux/types.h>

#include "abi.h"
#include "kernel_types.h"

/* COMM_BYTES in two loads, which is faster than a helper's call. */
static __always_inline void copy_comm(char *to, const struct task_struct *task)
{
	_Static_assert(COMM_BYTES == 2 * sizeof(__u64), "two loads");
	((__u64 *)to)[0] = *(const __u64 *)&task->comm[0];
	((__u64 *)to)[1] = *(const __u64 *)&task->comm[8];
}

#endif
