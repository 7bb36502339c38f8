/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
#ifndef BPF2KAFKA_BOUNDS_H
#define BPF2KAFKA_BOUNDS_H

/*
 * Makes clang forget what it knows of a number or a pointer. It would drop a check that it can prove, or test another
 * register than the one that is used; the verifier, which cannot follow the proof, needs to see the check.
 */
#define hide_bounds(number) asm volatile("" : "+r"(number))

/*
 * 1, or 0 when this number of 32 bits is 0. Of a comparison clang makes a branch, and the verifier follows both ways
 * through all that comes behind: ten comparisons in a row are a thousand ways.
 */
#define is_not_zero(number)                                                                                            \
	({                                                                                                             \
		__u64 negative = -(__u64)(__u32)(number);                                                              \
		hide_bounds(negative);                                                                                 \
		negative >> 63;                                                                                        \
	})

/* Move what is rare out of the way of the rest: an exec finds the program itself in no cache. */
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#endif
