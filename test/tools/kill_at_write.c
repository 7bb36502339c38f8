/*
 * kill_at_write PID RING_BYTES slot|position|consumer|commit COUNT: kills PID right behind its COUNT-th write of a commit:
 * to the first counter of one of the two slots, to the position of that slot, to the ring's consumer position, or to the
 * first counter of either slot, which every commit writes to.
 *
 * Sets hardware watchpoints (x86-64) on the words in the main thread of the process, where commits are made. Prints
 * `watching` when it is set and `killed` when it has killed; 3 when the process ended by itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/types.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bpf/abi.h"

static void fail(const char *what)
{
	fprintf(stderr, "kill_at_write: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int read_memory(pid_t pid, uint64_t address, void *into, size_t bytes)
{
	struct iovec local = {into, bytes}, remote = {(void *)address, bytes};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/*
 * The process has several pages of BPF maps; they are told apart by what is in them. The ring's control has the
 * ring's size; the consumer page has one word, which one of the slots has, too.
 */
static void find_pages(pid_t pid, uint64_t ring_bytes, uint64_t *control, uint64_t *consumer)
{
	char path[64], line[512];
	uint64_t start, end, pages[64];
	size_t count = 0;
	char permissions[8];
	struct ring_control found = {0};

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	if (!maps)
		fail(path);
	*control = *consumer = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "bpf") || sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3)
			continue;
		if (strncmp(permissions, "rw", 2) == 0 && count < 64)
			pages[count++] = start;
	}
	fclose(maps);
	for (size_t i = 0; i < count; i++) {
		struct ring_control candidate;

		if (read_memory(pid, pages[i], &candidate, sizeof(candidate)) && candidate.ring_bytes == ring_bytes &&
		    candidate.layout_hash && candidate.program_hash) {
			*control = pages[i];
			found = candidate;
		}
	}
	for (size_t i = 0; *control && i < count; i++) {
		uint64_t words[8];

		if (pages[i] == *control || !read_memory(pid, pages[i], words, sizeof(words)) || words[1] || words[2])
			continue;
		if (words[0] == found.commits[0].position || words[0] == found.commits[1].position)
			*consumer = pages[i];
	}
	if (!*control || !*consumer) {
		fprintf(stderr, "kill_at_write: no ring of %lu bytes in process %d\n", ring_bytes, pid);
		exit(1);
	}
}

static void watch(pid_t pid, const uint64_t *addresses, int count)
{
	const size_t registers = offsetof(struct user, u_debugreg);
	uint64_t control = 0;

	for (int i = 0; i < count; i++) {
		/* DR7: local enable of DRi; its condition: writes; its length: 8 bytes. */
		control |= 1ULL << 2 * i | 1ULL << (16 + 4 * i) | 2ULL << (18 + 4 * i);
		if (ptrace(PTRACE_POKEUSER, pid, registers + i * sizeof(uint64_t), addresses[i]) != 0)
			fail("set the watchpoint");
	}
	if (ptrace(PTRACE_POKEUSER, pid, registers + 7 * sizeof(uint64_t), control) != 0)
		fail("set the watchpoint");
}

int main(int argc, char **argv)
{
	uint64_t control, consumer, addresses[2];
	int status, count = 1;

	if (argc != 5) {
		fprintf(stderr, "usage: kill_at_write PID RING_BYTES slot|position|consumer|commit COUNT\n");
		return 2;
	}
	const pid_t pid = atoi(argv[1]);
	int left = atoi(argv[4]);

	find_pages(pid, strtoull(argv[2], NULL, 10), &control, &consumer);
	if (strcmp(argv[3], "slot") == 0)
		addresses[0] = control + offsetof(struct ring_control, commits[1].counters);
	else if (strcmp(argv[3], "position") == 0)
		addresses[0] = control + offsetof(struct ring_control, commits[1].position);
	else if (strcmp(argv[3], "consumer") == 0)
		addresses[0] = consumer;
	else
		for (count = 0; count < 2; count++)
			addresses[count] = control + offsetof(struct ring_control, commits[count].counters);

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0)
		fail("trace the process");
	if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0 || waitpid(pid, &status, __WALL) != pid)
		fail("stop the process");
	watch(pid, addresses, count);
	printf("watching\n");
	fflush(stdout);
	if (ptrace(PTRACE_CONT, pid, 0, 0) != 0)
		fail("continue the process");
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		const int received = WSTOPSIG(status);
		const int trapped = received == SIGTRAP && status >> 16 == 0;

		if (trapped && --left == 0) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, __WALL);
			printf("killed\n");
			return 0;
		}
		/* Everything else that stops it goes on as if nobody watched. */
		ptrace(PTRACE_CONT, pid, 0, trapped || status >> 16 ? 0 : received);
	}
	return 3;
}
