/* What the tools of the packet tests need of bpf(2). They share no code, and no mistake, with what they test. */
#ifndef BPF_CALL_H
#define BPF_CALL_H

#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline int bpf_call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* A descriptor of the pinned object. */
static inline int open_pin(const char *path)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.pathname = (uint64_t)(uintptr_t)path;
	int fd = bpf_call(BPF_OBJ_GET, &attributes);
	if (fd < 0)
		fail(path);
	return fd;
}

#endif
