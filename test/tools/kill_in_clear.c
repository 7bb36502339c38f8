/*
 * kill_in_clear PID FLOWS commit|acked|delete|base|cleared COUNT: kills PID, which counts packets in maps of FLOWS keys, at
 * one of the steps by which an epoch is given up: right behind its COUNT-th write of the idle commit slot's epoch, of
 * acked_epoch, of the base of an interface or of cleared_epoch, or before its COUNT-th call that deletes keys.
 *
 * Sets hardware watchpoints (x86-64) in every thread that the process has. Prints `watching` when they are set and
 * `killed` when it has killed; 3 when the process ended by itself.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../../bpf/abi.h"
#include "bpf_call.h"

struct addresses {
	uint64_t control;
	uint64_t interfaces;
};

static int read_memory(pid_t pid, uint64_t address, void *into, size_t bytes)
{
	struct iovec local = {into, bytes}, remote = {(void *)address, bytes};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/* The process has several mappings of BPF maps; they are told apart by their size and what is in them. */
static struct addresses find_maps(pid_t pid, uint64_t flows)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t table_bytes = (PACKET_INTERFACES * sizeof(struct packet_interface) + page - 1) / page * page;
	struct addresses found = {0, 0};
	char path[64], line[512];
	uint64_t start, end;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	if (!maps)
		fail(path);
	while (fgets(line, sizeof(line), maps)) {
		struct packet_control control;

		if (!strstr(line, "anon_inode:bpf-map") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (end - start == table_bytes)
			found.interfaces = start;
		else if (read_memory(pid, start, &control, sizeof(control)) && control.complete == 1 && control.flows == flows)
			found.control = start;
	}
	fclose(maps);
	if (!found.control || !found.interfaces) {
		fprintf(stderr, "kill_in_clear: process %d has no maps of %lu keys\n", pid, flows);
		exit(1);
	}
	return found;
}

/* Of the first interface in the table. */
static uint64_t find_interface(pid_t pid, uint64_t interfaces)
{
	for (uint64_t at = interfaces; at < interfaces + PACKET_INTERFACES * sizeof(struct packet_interface);
	     at += sizeof(struct packet_interface)) {
		uint64_t index;

		if (read_memory(pid, at, &index, sizeof(index)) && index)
			return at;
	}
	fprintf(stderr, "kill_in_clear: the table of interfaces is empty\n");
	exit(1);
}

/* Watches writes to these words; 0 is none. */
static void watch(pid_t thread, const uint64_t words[2])
{
	const size_t registers = offsetof(struct user, u_debugreg);
	/* DR7: local enable of DR0 and DR1; their conditions: writes; their lengths: 8 bytes. */
	uint64_t control = 0;

	for (size_t i = 0; i < 2; i++) {
		if (!words[i])
			continue;
		if (ptrace(PTRACE_POKEUSER, thread, registers + i * sizeof(uint64_t), words[i]) != 0)
			fail("set the watchpoint");
		control |= 1ULL << (2 * i) | (1ULL | 2ULL << 2) << (16 + 4 * i);
	}
	if (ptrace(PTRACE_POKEUSER, thread, registers + 7 * sizeof(uint64_t), control) != 0)
		fail("set the watchpoint");
}

static int begins_delete(pid_t thread)
{
	struct user_regs_struct registers;

	/* At entry, not at exit, rax is -ENOSYS. */
	return ptrace(PTRACE_GETREGS, thread, 0, &registers) == 0 && registers.orig_rax == SYS_bpf &&
	       (long)registers.rax == -ENOSYS && registers.rdi == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
}

int main(int argc, char **argv)
{
	uint64_t words[2] = {0, 0};
	char path[64];
	int status;

	if (argc != 5) {
		fprintf(stderr, "usage: kill_in_clear PID FLOWS commit|acked|delete|base|cleared COUNT\n");
		return 2;
	}
	const pid_t pid = atoi(argv[1]);
	const char *step = argv[3];
	const struct addresses found = find_maps(pid, strtoull(argv[2], NULL, 10));
	const int deletes = strcmp(step, "delete") == 0;
	int left = atoi(argv[4]);

	if (strcmp(step, "commit") == 0) {
		words[0] = found.control + offsetof(struct packet_control, commits[0].epoch);
		words[1] = found.control + offsetof(struct packet_control, commits[1].epoch);
	} else if (strcmp(step, "acked") == 0) {
		words[0] = found.control + offsetof(struct packet_control, acked_epoch);
	} else if (strcmp(step, "cleared") == 0) {
		words[0] = found.control + offsetof(struct packet_control, cleared_epoch);
	} else if (strcmp(step, "base") == 0) {
		const uint64_t interface = find_interface(pid, found.interfaces);

		words[0] = interface + offsetof(struct packet_interface, base[0]);
		words[1] = interface + offsetof(struct packet_interface, base[1]);
	}

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *threads = opendir(path);
	if (!threads)
		fail(path);
	for (struct dirent *entry = readdir(threads); entry; entry = readdir(threads)) {
		const pid_t thread = atoi(entry->d_name);

		if (!thread)
			continue;
		if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD) != 0)
			fail("trace the process");
		if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0 || waitpid(thread, &status, __WALL) != thread)
			fail("stop the process");
		watch(thread, words);
		if (ptrace(deletes ? PTRACE_SYSCALL : PTRACE_CONT, thread, 0, 0) != 0)
			fail("continue the process");
	}
	closedir(threads);
	printf("watching\n");
	fflush(stdout);
	for (pid_t thread = waitpid(-1, &status, __WALL); thread > 0; thread = waitpid(-1, &status, __WALL)) {
		if (!WIFSTOPPED(status))
			continue;
		const int received = WSTOPSIG(status);
		const int at_call = received == (SIGTRAP | 0x80);
		const int trapped = received == SIGTRAP && status >> 16 == 0;

		if ((trapped || (at_call && begins_delete(thread))) && --left == 0) {
			kill(pid, SIGKILL);
			printf("killed\n");
			return 0;
		}
		/* Everything else that stops it goes on as if nobody watched. */
		ptrace(deletes ? PTRACE_SYSCALL : PTRACE_CONT, thread, 0, at_call || trapped || status >> 16 ? 0 : received);
	}
	return 3;
}
