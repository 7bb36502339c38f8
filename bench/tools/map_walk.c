/*
 * map_walk PIN: reads every entry of the pinned map with two calls a key, as programs do that do not know the calls for
 * batches. Prints an object {keys, milliseconds}.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *what)
{
	fprintf(stderr, "map_walk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct bpf_map_info info = {};
	__u32 bytes = sizeof(info);

	if (argc != 2) {
		fprintf(stderr, "usage: map_walk PIN\n");
		return 2;
	}
	const int map = bpf_obj_get(argv[1]);

	if (map < 0 || bpf_obj_get_info_by_fd(map, &info, &bytes) != 0)
		fail(argv[1]);
	unsigned char *key = malloc(info.key_size), *value = malloc(info.value_size);

	if (!key || !value)
		fail("memory");
	const double begun = now_ms();
	unsigned long keys = 0;

	for (const void *from = NULL; bpf_map_get_next_key(map, from, key) == 0; from = key, keys++)
		if (bpf_map_lookup_elem(map, key, value) != 0)
			fail("read");
	printf("{\"keys\":%lu,\"milliseconds\":%.3f}\n", keys, now_ms() - begun);
	return 0;
}
