/*
 * exec_with [OPTION...] PROGRAM [ARGUMENT...]: execs PROGRAM with an argv that a shell or Node cannot pass.
 *
 * Options:
 *   --thread        a thread that is not the leader makes the exec; its tid goes to standard output first
 *   --fd            by file descriptor: execveat(fd, "", ..., AT_EMPTY_PATH)
 *   --memfd         the same, of a copy in memory
 *   --unlink        the same, after PROGRAM was removed
 *   --compat        as a program of 32 bits calls (x86-64 alone)
 *   --seccomp       under a seccomp filter that allows everything
 *   --uids R E S    real, effective and saved user id to set before; --gids the same for groups
 * Arguments, the first of which becomes argv[0]:
 *   HEX             one argument of these bytes; "-" is the empty one
 *   --repeat N HEX  N times that one
 *   --long BYTES    one argument of that length: its own offsets, eight bytes each, as "0000000,0000008,..."
 *   --none          an argv that has nothing but its final NULL
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

struct request {
	const char *program;
	char **arguments;
	size_t count;
	int by_descriptor;
	int in_memory;
	int unlinked;
	int compat;
};

static void *checked(void *memory)
{
	if (!memory) {
		perror("exec_with: memory");
		exit(1);
	}
	return memory;
}

static void usage(const char *reason)
{
	fprintf(stderr, "exec_with: %s\nusage: exec_with [--thread] [--fd | --memfd | --unlink | --compat] [--seccomp] [--uids R E S] [--gids R E S] PROGRAM "
			"[HEX | - | --repeat N HEX | --long BYTES | --none]...\n", reason);
	exit(2);
}

static char *from_hex(const char *hex)
{
	if (strcmp(hex, "-") == 0)
		hex = "";
	size_t length = strlen(hex);
	char *bytes = checked(calloc(length / 2 + 1, 1));

	if (length % 2)
		usage("an argument in hex has an even number of digits");
	for (size_t i = 0; i < length / 2; i++) {
		unsigned int value;

		if (sscanf(hex + 2 * i, "%2x", &value) != 1 || value == 0)
			usage("an argument is given in hex, without zero bytes");
		bytes[i] = (char)value;
	}
	return bytes;
}

static char *long_argument(size_t length)
{
	char *bytes = checked(calloc(length + 16, 1));

	for (size_t at = 0; at < length; at += 8)
		snprintf(bytes + at, 16, "%07zu,", at % 10000000);
	bytes[length] = 0;
	return bytes;
}

static void append(struct request *request, char *argument)
{
	request->arguments = checked(realloc(request->arguments, (request->count + 2) * sizeof(char *)));
	request->arguments[request->count++] = argument;
	request->arguments[request->count] = NULL;
}

static void set_ids(long call, char **ids)
{
	if (syscall(call, strtoul(ids[0], NULL, 10), strtoul(ids[1], NULL, 10), strtoul(ids[2], NULL, 10)) != 0) {
		perror("exec_with: set ids");
		exit(1);
	}
}

static void allow_everything(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
		perror("exec_with: seccomp");
		exit(1);
	}
}

/* A descriptor of a copy of the file; without MFD_CLOEXEC, which is for those who run scripts. */
static int copy_to_memory(const char *program)
{
	int from = open(program, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("in memory", 0);

	while (from >= 0 && to >= 0) {
		ssize_t bytes = sendfile(to, from, NULL, 1 << 20);

		if (bytes == 0)
			return to;
		if (bytes < 0)
			break;
	}
	return -1;
}

#ifdef __x86_64__
/* All of it where 32 bits reach. A kernel without such calls ends us with SIGSEGV. */
static void make_compat_exec(struct request *request)
{
	size_t bytes = 1 << 20;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned int *pointers = (unsigned int *)memory;
	char *text = memory + (request->count + 1) * sizeof(*pointers);
	long result;

	if (memory == MAP_FAILED)
		return;
	for (size_t i = 0; i < request->count; i++) {
		pointers[i] = (unsigned int)(unsigned long)text;
		text = stpcpy(text, request->arguments[i]) + 1;
	}
	strcpy(text, request->program);
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(11), "b"(text), "c"(pointers), "d"(NULL)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = (int)-result;
}
#else
static void make_compat_exec(struct request *request)
{
	(void)request;
	errno = ENOSYS;
}
#endif

static void *make_exec(void *argument)
{
	struct request *request = argument;

	if (request->by_descriptor) {
		int fd = request->in_memory ? copy_to_memory(request->program)
					    : open(request->program, O_PATH | O_CLOEXEC);

		if (request->unlinked && unlink(request->program) != 0)
			fd = -1;
		if (fd >= 0)
			syscall(SYS_execveat, fd, "", request->arguments, environ, AT_EMPTY_PATH);
	} else if (request->compat) {
		make_compat_exec(request);
	} else {
		execve(request->program, request->arguments, environ);
	}
	perror("exec_with: exec");
	_exit(1);
}

static void *make_exec_in_thread(void *argument)
{
	printf("%ld\n", syscall(SYS_gettid));
	fflush(stdout);
	return make_exec(argument);
}

int main(int argc, char **argv)
{
	struct request request = {.arguments = checked(calloc(1, sizeof(char *)))};
	int in_thread = 0;
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--thread") == 0) {
			in_thread = 1;
		} else if (strcmp(argv[i], "--fd") == 0) {
			request.by_descriptor = 1;
		} else if (strcmp(argv[i], "--memfd") == 0) {
			request.by_descriptor = 1;
			request.in_memory = 1;
		} else if (strcmp(argv[i], "--unlink") == 0) {
			request.by_descriptor = 1;
			request.unlinked = 1;
		} else if (strcmp(argv[i], "--compat") == 0) {
			request.compat = 1;
		} else if (strcmp(argv[i], "--seccomp") == 0) {
			allow_everything();
		} else if (strcmp(argv[i], "--uids") == 0 && i + 3 < argc) {
			set_ids(SYS_setresuid, argv + i + 1);
			i += 3;
		} else if (strcmp(argv[i], "--gids") == 0 && i + 3 < argc) {
			set_ids(SYS_setresgid, argv + i + 1);
			i += 3;
		} else {
			usage("unknown option");
		}
	}
	if (i == argc)
		usage("a program is needed");
	request.program = argv[i++];
	for (; i < argc; i++) {
		if (strcmp(argv[i], "--none") == 0)
			continue;
		if (strcmp(argv[i], "--repeat") == 0 && i + 2 < argc) {
			char *argument = from_hex(argv[i + 2]);

			for (unsigned long n = strtoul(argv[i + 1], NULL, 10); n > 0; n--)
				append(&request, argument);
			i += 2;
		} else if (strcmp(argv[i], "--long") == 0 && i + 1 < argc) {
			append(&request, long_argument(strtoul(argv[++i], NULL, 10)));
		} else {
			append(&request, from_hex(argv[i]));
		}
	}
	if (in_thread) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, make_exec_in_thread, &request) != 0)
			return 1;
		pthread_join(thread, NULL);
		return 1;
	}
	make_exec(&request);
	return 1;
}
