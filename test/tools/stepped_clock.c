/*
 * stepped_clock.so, to be preloaded: moves the wall clock of one process, and of those that it starts, by as many seconds as
 * stand in the file that STEPPED_CLOCK names, from the moment on at which they stand there. As settimeofday(2) does: what
 * counts from the boot or only forward stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t step(void)
{
	static int file = -1;
	char text[32];
	ssize_t length;

	if (file < 0) {
		const char *name = getenv("STEPPED_CLOCK");

		if (!name || (file = open(name, O_RDONLY | O_CLOEXEC)) < 0)
			abort();
	}
	length = pread(file, text, sizeof(text) - 1, 0);
	if (length < 0)
		abort();
	text[length] = 0;
	return atol(text);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int result;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	result = real(id, now);
	if (!result && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		now->tv_sec += step();
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise))
		return -1;
	*now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *where)
{
	struct timespec precise;

	clock_gettime(CLOCK_REALTIME, &precise);
	if (where)
		*where = precise.tv_sec;
	return precise.tv_sec;
}
