/*
 * with_seccomp PROGRAM ARGUMENT…: runs the program under a filter of system calls, whose rules it reads from the variable
 * SECCOMP_RULES, a line each:
 *
 *   NAME                          the call is allowed
 *   NAME INDEX eq VALUE           when this argument is that
 *   NAME INDEX masked MASK VALUE  when these bits of it are that
 *   NAME errno NUMBER             it fails so
 *
 * Any other call fails with EPERM. libseccomp is loaded when it runs, so that its headers need not be there; a name that it
 * does not know on this processor is passed over, as container engines do. Ends with 77 when there is no libseccomp.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* include/seccomp.h of libseccomp 2. */
#define ACT_ALLOW 0x7fff0000u
#define ACT_ERRNO(number) (0x00050000u | ((number) & 0xffffu))
enum { CMP_EQ = 4, CMP_MASKED_EQ = 7, UNKNOWN_CALL = -1 };
struct comparison {
	unsigned int argument;
	int operation;
	uint64_t a;
	uint64_t b;
};

static void *function(void *library, const char *name)
{
	void *found = dlsym(library, name);
	if (!found) {
		fprintf(stderr, "with_seccomp: %s\n", dlerror());
		exit(1);
	}
	return found;
}

int main(int argc, char **argv)
{
	void *library = dlopen("libseccomp.so.2", RTLD_NOW);
	char *rules = getenv("SECCOMP_RULES");

	if (argc < 2 || !rules) {
		fprintf(stderr, "usage: SECCOMP_RULES=… with_seccomp PROGRAM ARGUMENT…\n");
		return 2;
	}
	if (!library) {
		fprintf(stderr, "with_seccomp: %s\n", dlerror());
		return 77;
	}
	void *(*init)(uint32_t) = function(library, "seccomp_init");
	int (*resolve)(const char *) = function(library, "seccomp_syscall_resolve_name");
	int (*add)(void *, uint32_t, int, unsigned int, const struct comparison *) =
		function(library, "seccomp_rule_add_array");
	int (*load)(void *) = function(library, "seccomp_load");

	void *filter = init(ACT_ERRNO(EPERM));
	for (char *line = strtok(rules, "\n"); line; line = strtok(NULL, "\n")) {
		char name[64], word[16];
		unsigned int argument;
		unsigned long long a, b;
		struct comparison compared = {0};
		uint32_t action = ACT_ALLOW;
		unsigned int comparisons = 1;

		if (sscanf(line, "%63s %u masked %llu %llu", name, &argument, &a, &b) == 4)
			compared = (struct comparison){argument, CMP_MASKED_EQ, a, b};
		else if (sscanf(line, "%63s %u eq %llu", name, &argument, &a) == 3)
			compared = (struct comparison){argument, CMP_EQ, a, 0};
		else if (sscanf(line, "%63s errno %u", name, &argument) == 2)
			comparisons = 0, action = ACT_ERRNO(argument);
		else if (sscanf(line, "%63s %15s", name, word) == 1)
			comparisons = 0;
		else {
			fprintf(stderr, "with_seccomp: not a rule: %s\n", line);
			return 2;
		}
		const int call = resolve(name);
		if (call == UNKNOWN_CALL)
			continue;
		/* Of a call that other processors have, under a number below 0: nothing to do on this one. */
		const int refused = add(filter, action, call, comparisons, &compared);
		if (refused && call >= 0) {
			fprintf(stderr, "with_seccomp: %s: %s\n", line, strerror(-refused));
			return 1;
		}
	}
	unsetenv("SECCOMP_RULES");
	const int refused = load(filter);
	if (refused) {
		fprintf(stderr, "with_seccomp: cannot load the filter: %s\n", strerror(-refused));
		return 1;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
