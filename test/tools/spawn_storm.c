/*
 * spawn_storm PROGRAM COUNT WORKERS TOKEN_PREFIX [RATE]: spawns PROGRAM COUNT times, RATE a second over all.
 *
 * WORKERS processes share the work. Each PROGRAM gets one argument, TOKEN_PREFIX-N, with every N from 0 to
 * COUNT - 1 once, and is waited for. Prints how many were spawned; fails when one was not, or did not exit with 0.
 * Nothing else is executed: what a test counts is exactly COUNT.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct shared {
	unsigned long next;
	unsigned long spawned;
	unsigned long failed;
};

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec;
}

static void sleep_until(unsigned long long due_ns)
{
	struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000ULL), .tv_nsec = (long)(due_ns % 1000000000ULL)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

static int spawn_one(const char *program, const char *prefix, unsigned long number)
{
	char token[256];
	char *arguments[] = {(char *)program, token, NULL};
	pid_t child;
	int status;

	snprintf(token, sizeof(token), "%s-%lu", prefix, number);
	int error = posix_spawn(&child, program, NULL, NULL, arguments, environ);
	if (error) {
		fprintf(stderr, "spawn_storm: cannot spawn %s: %s\n", program, strerror(error));
		return -1;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void work(struct shared *shared, const char *program, unsigned long count, const char *prefix, double rate,
		 unsigned long long start_ns)
{
	for (;;) {
		unsigned long number = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);

		if (number >= count)
			return;
		if (rate > 0)
			sleep_until(start_ns + (unsigned long long)((double)number * 1e9 / rate));
		if (spawn_one(program, prefix, number) == 0)
			__atomic_fetch_add(&shared->spawned, 1, __ATOMIC_RELAXED);
		else
			__atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: spawn_storm PROGRAM COUNT WORKERS TOKEN_PREFIX [RATE]\n");
		return 2;
	}
	unsigned long count = strtoul(argv[2], NULL, 10);
	unsigned long workers = strtoul(argv[3], NULL, 10);
	double rate = argc == 6 ? strtod(argv[5], NULL) : 0;
	unsigned long long start_ns = now_ns();
	struct shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED) {
		perror("spawn_storm: mmap");
		return 1;
	}
	for (unsigned long i = 0; i < workers; i++) {
		pid_t worker = fork();

		if (worker < 0) {
			perror("spawn_storm: fork");
			return 1;
		}
		if (worker == 0) {
			work(shared, argv[1], count, argv[4], rate, start_ns);
			_exit(0);
		}
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	printf("%lu\n", shared->spawned);
	return shared->failed == 0 && shared->spawned == count ? 0 : 1;
}
