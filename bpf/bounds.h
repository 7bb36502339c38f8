/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
#ifndef BPF2KAFKA_BOUNDS_H
#define BPF2KAFKA_BOUNDS_H

/*
 * Makes clang forget what it knows of a number or a pointer. It would drop a check that it can prove, or test another
 * register than the one that is used; the verifier, which cannot follow the proof, needs to see the check.
 */
#define hide_bounds(number) asm volatile("" : "+r"(number))

#endif
