/*
 * xdp_total OBJECT INTERFACE: puts the program `count_total` of OBJECT (xdp_rivals.bpf.c) on INTERFACE, in the driver, and
 * says so. At SIGTERM it prints how many packets the program has counted and takes it off again.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, int error)
{
	fprintf(stderr, "xdp_total: %s: %s\n", what, strerror(error));
	exit(1);
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	const __u32 zero = 0;
	sigset_t stop;
	int signal;

	if (argc != 3) {
		fprintf(stderr, "usage: xdp_total OBJECT INTERFACE\n");
		return 2;
	}
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);

	struct bpf_object *object = bpf_object__open_file(argv[1], NULL);

	if (!object || bpf_object__load(object) != 0)
		fail(argv[1], errno);
	const int program = bpf_program__fd(bpf_object__find_program_by_name(object, "count_total"));
	const int totals = bpf_map__fd(bpf_object__find_map_by_name(object, "totals"));
	/* The program leaves with this descriptor, however the process ends. */
	if (bpf_link_create(program, (int)if_nametoindex(argv[2]), BPF_XDP, &options) < 0)
		fail(argv[2], errno);
	printf("attached\n");
	fflush(stdout);
	sigwait(&stop, &signal);

	const int cpus = libbpf_num_possible_cpus();
	__u64 *counts = calloc((size_t)(cpus < 1 ? 1 : cpus), sizeof(*counts));
	__u64 sum = 0;

	if (cpus < 1 || !counts || bpf_map_lookup_elem(totals, &zero, counts) != 0)
		fail("the totals", errno);
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += counts[cpu];
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
