/*
 * exit_with [--zombie] ACTION [ARGUMENT...]: forks a child that does the action and ends, and prints what the kernel tells
 * of it, in one line:
 *
 *   PID STATUS USER_US SYSTEM_US MAX_RSS_KIB START_TICKS BEFORE_US AFTER_US
 *
 * STATUS and what follows as wait4 has it, START_TICKS as /proc/PID/stat; BEFORE and AFTER are times since boot around
 * the child's life. With --zombie PID is printed on a line before that, and the child is waited for only when standard
 * input ends.
 *
 * Actions of the child, which calls no exec but for the last one:
 *   exit CODE
 *   signal NUMBER         to itself, without a core dump
 *   abort                 with a core dump, as far as the limits of the system allow it
 *   burn USER_MS SYSTEM_MS  CPU time, of two threads
 *   memory MIB            touches that much and gives it back
 *   leader-first CODE     the first thread ends, then the other one says the exit code
 *   threads COUNT         so many threads end at once, each by itself
 *   group COUNT           so many threads are ended by one that exits
 *   name NAME             sets its name, then exits with 0
 *   exec PROGRAM [ARGUMENT...]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
	perror(what);
	_exit(120);
}

static unsigned long long boot_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static long long us(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

static void *burn(void *milliseconds)
{
	const long *wanted = milliseconds;
	struct rusage used;

	do {
		getrusage(RUSAGE_THREAD, &used);
		if (us(used.ru_utime) < wanted[0] * 1000)
			for (volatile int i = 0; i < 1000000; i++)
				;
		if (us(used.ru_stime) < wanted[1] * 1000)
			for (int i = 0; i < 1000; i++)
				syscall(SYS_sched_getscheduler, 0);
	} while (us(used.ru_utime) < wanted[0] * 1000 || us(used.ru_stime) < wanted[1] * 1000);
	return NULL;
}

static pthread_t start(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument) != 0)
		fail("exit_with: thread");
	return thread;
}

/* State of the first thread of this process. */
static char state_of_leader(void)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	FILE *file = fopen(path, "r");

	if (!file || !fgets(text, sizeof(text), file))
		fail(path);
	fclose(file);
	return strrchr(text, ')')[2];
}

static void *exit_after_leader(void *code)
{
	while (state_of_leader() != 'Z')
		usleep(1000);
	exit(*(int *)code);
	return NULL;
}

static pthread_barrier_t together;

static void *end_by_itself(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&together);
	syscall(SYS_exit, 0);
	return NULL;
}

static void *stay(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&together);
	pause();
	return NULL;
}

static void act(int argc, char **argv)
{
	const char *action = argv[0];
	long numbers[2] = {argc > 1 ? atol(argv[1]) : 0, argc > 2 ? atol(argv[2]) : 0};

	if (strcmp(action, "exit") == 0)
		_exit((int)numbers[0]);
	if (strcmp(action, "signal") == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		kill(getpid(), (int)numbers[0]);
		pause();
	}
	if (strcmp(action, "abort") == 0) {
		struct rlimit limit;

		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_CORE, &limit);
		abort();
	}
	if (strcmp(action, "burn") == 0) {
		pthread_t other = start(burn, numbers);

		burn(numbers);
		pthread_join(other, NULL);
		_exit(0);
	}
	if (strcmp(action, "memory") == 0) {
		size_t bytes = (size_t)numbers[0] << 20;
		char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			fail("exit_with: memory");
		memset(memory, 1, bytes);
		munmap(memory, bytes);
		_exit(0);
	}
	if (strcmp(action, "leader-first") == 0) {
		static int code;

		code = (int)numbers[0];
		start(exit_after_leader, &code);
		pthread_exit(NULL);
	}
	if (strcmp(action, "threads") == 0 || strcmp(action, "group") == 0) {
		const int by_themselves = action[0] == 't';

		pthread_barrier_init(&together, NULL, (unsigned int)numbers[0]);
		for (long i = 1; i < numbers[0]; i++)
			start(by_themselves ? end_by_itself : stay, NULL);
		pthread_barrier_wait(&together);
		if (by_themselves)
			syscall(SYS_exit, 0);
		_exit(0);
	}
	if (strcmp(action, "name") == 0) {
		prctl(PR_SET_NAME, argv[1]);
		_exit(0);
	}
	if (strcmp(action, "exec") == 0) {
		execv(argv[1], argv + 1);
		fail(argv[1]);
	}
	fprintf(stderr, "exit_with: unknown action %s\n", action);
	_exit(120);
}

static unsigned long long start_ticks(pid_t pid)
{
	char path[64], text[512] = "";
	unsigned long long ticks = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");

	if (!file || !fgets(text, sizeof(text), file))
		fail(path);
	fclose(file);
	/* The 22nd field; the state is the third. */
	char *field = strrchr(text, ')') + 2;
	for (int i = 3; i < 22; i++)
		field = strchr(field, ' ') + 1;
	sscanf(field, "%llu", &ticks);
	return ticks;
}

int main(int argc, char **argv)
{
	int held = argc > 1 && strcmp(argv[1], "--zombie") == 0;
	siginfo_t info;
	struct rusage used;
	int status;

	if (argc < 2 + held) {
		fprintf(stderr, "usage: exit_with [--zombie] ACTION [ARGUMENT...]\n");
		return 2;
	}
	unsigned long long before = boot_us();
	pid_t child = fork();

	if (child < 0)
		fail("exit_with: fork");
	if (child == 0)
		act(argc - 1 - held, argv + 1 + held);
	if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0)
		fail("exit_with: waitid");
	unsigned long long after = boot_us();
	unsigned long long ticks = start_ticks(child);

	if (held) {
		char byte;

		printf("%d\n", child);
		fflush(stdout);
		while (read(0, &byte, 1) > 0)
			;
	}
	if (wait4(child, &status, 0, &used) != child)
		fail("exit_with: wait4");
	printf("%d %d %lld %lld %ld %llu %llu %llu\n", child, status, us(used.ru_utime), us(used.ru_stime), used.ru_maxrss,
	       ticks, before, after);
	return 0;
}
