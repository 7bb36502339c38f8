/*
 * ring_poke PIN consumer POSITION: writes the consumer position of a pinned ring buffer.
 * ring_poke PIN u64 OFFSET VALUE:  writes a word of a pinned array that can be mapped.
 *
 * For states that no correct reader leaves behind. It speaks to bpf(2) itself, so that it shares no code, and no
 * mistake, with what it tests.
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "ring_poke: ");
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t offset = 0, value;

	if (argc == 4 && strcmp(argv[2], "consumer") == 0) {
		value = strtoull(argv[3], NULL, 0);
	} else if (argc == 5 && strcmp(argv[2], "u64") == 0) {
		offset = strtoull(argv[3], NULL, 0);
		value = strtoull(argv[4], NULL, 0);
	} else {
		fprintf(stderr, "usage: ring_poke PIN consumer POSITION | ring_poke PIN u64 OFFSET VALUE\n");
		return 2;
	}

	union bpf_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.pathname = (uint64_t)(uintptr_t)argv[1];
	int fd = (int)syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes));
	if (fd < 0)
		return failed(argv[1]);

	long page = sysconf(_SC_PAGESIZE);
	if (offset % sizeof(value) || offset + sizeof(value) > (uint64_t)page) {
		fprintf(stderr, "ring_poke: the offset must be a multiple of 8 in the first page\n");
		return 2;
	}
	/* The consumer position is the first word of the first page, the only one of a ring that may be written. */
	char *memory = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return failed("mmap");
	__atomic_store_n((uint64_t *)(memory + offset), value, __ATOMIC_SEQ_CST);
	return 0;
}
