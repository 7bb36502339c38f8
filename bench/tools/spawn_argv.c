/*
 * spawn_argv COUNT WORKERS PROGRAM [ARGUMENT...]: spawns PROGRAM with these arguments COUNT times and waits for each.
 *
 * WORKERS processes share the work. Fails when one was not spawned or did not exit with 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int spawn_one(char **arguments)
{
	pid_t child;
	int status;
	int error = posix_spawn(&child, arguments[0], NULL, NULL, arguments, environ);

	if (error) {
		fprintf(stderr, "spawn_argv: cannot spawn %s: %s\n", arguments[0], strerror(error));
		return -1;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: spawn_argv COUNT WORKERS PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	unsigned long count = strtoul(argv[1], NULL, 10);
	unsigned long workers = strtoul(argv[2], NULL, 10);

	for (unsigned long i = 0; i < workers; i++) {
		pid_t worker = fork();

		if (worker < 0) {
			perror("spawn_argv: fork");
			return 1;
		}
		if (worker == 0) {
			for (unsigned long n = i; n < count; n += workers)
				if (spawn_one(argv + 3) != 0)
					_exit(1);
			_exit(0);
		}
	}
	int failed = 0;
	int status;

	for (;;) {
		if (wait(&status) >= 0)
			failed |= status != 0;
		else if (errno != EINTR)
			return failed;
	}
}
