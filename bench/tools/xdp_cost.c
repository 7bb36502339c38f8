/*
 * xdp_cost OBJECT LINK INTERFACE ENTRIES ROUNDS: what XDP programs take a packet, by BPF_PROG_TEST_RUN.
 *
 * Runs the programs of OBJECT (xdp_rivals.bpf.c) and the one of the pinned LINK in turn, over frames of 1, 1,024 and 65,536
 * flows that come in at INTERFACE, each flow as often, in an order without a pattern. ENTRIES is the size of the rival's
 * map. Prints an array of {flows, program, nanos}: nanos has one value a round, nanoseconds a packet, with what brings the
 * next flow and calls the program; the program `empty` takes nothing else.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Short enough to end before the time slice: few runs are interrupted. */
#define PACKETS_A_RUN 4096
/* In one round, of one program. The quickest quarter is what was not disturbed. */
#define RUNS 64
#define QUICKEST (RUNS / 4)
static const unsigned int flow_counts[] = {1, 1024, 65536};
#define FLOW_COUNTS (sizeof(flow_counts) / sizeof(flow_counts[0]))

enum { EMPTY, PARSE_ONLY, BARE_HASH, OURS, PROGRAMS };
static const char *const names[PROGRAMS] = {"empty", "parse_only", "bare_hash", "ours"};

/* UDP over IPv4; what is 0 does not matter to a parser. */
static unsigned char frame[64] = {
	[5] = 2, [11] = 1, [12] = 0x08, [14] = 0x45, [17] = 50, [22] = 64, [23] = 17, [26] = 10, [30] = 10, [33] = 1,
	[34] = 0x12, [35] = 0x34, [36] = 0x00, [37] = 0x35, [39] = 30,
};

/* As in xdp_rivals.bpf.c. */
struct sequence {
	__u32 flow, multiplier, increment, mask;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "xdp_cost: %s: %s\n", what, strerror(error));
	exit(1);
}

static struct bpf_object *load(const char *path, unsigned int entries)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object)
		fail(path, errno);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "flows"), entries);
	/* All programs that a program array calls must be like the packet program (packet_programs.cpp). */
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_get_buff_len, NULL) == 1)
		bpf_object__for_each_program(program, object)
			bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS);
	if (bpf_object__load(object) != 0)
		fail(path, errno);
	return object;
}

static int program_of_link(const char *path)
{
	struct bpf_link_info info = {};
	__u32 bytes = sizeof(info);
	int link = bpf_obj_get(path);

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &bytes) != 0)
		fail(path, errno);
	int program = bpf_prog_get_fd_by_id(info.prog_id);

	if (program < 0)
		fail(path, errno);
	return program;
}

/* Calls the program in the slot for so many packets; returns nanoseconds a packet. */
static double run(int vary, unsigned int interface_index, unsigned int packets)
{
	struct xdp_md context = {.data_end = sizeof(frame), .ingress_ifindex = interface_index};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = (int)packets);

	if (bpf_prog_test_run_opts(vary, &options) != 0)
		fail("a run", errno);
	if (options.retval != XDP_PASS) {
		fprintf(stderr, "xdp_cost: a program did not count its packet: verdict %u\n", options.retval);
		exit(1);
	}
	return options.duration;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Nanoseconds a packet: the mean of the quickest runs, since the kernel gives whole numbers. */
static double measure(int vary, unsigned int interface_index)
{
	double nanos[RUNS], sum = 0;

	for (int i = 0; i < RUNS; i++)
		nanos[i] = run(vary, interface_index, PACKETS_A_RUN);
	qsort(nanos, RUNS, sizeof(nanos[0]), ascending);
	for (int i = 0; i < QUICKEST; i++)
		sum += nanos[i];
	return sum / QUICKEST;
}

static void set(int map, const void *value, const char *what)
{
	const __u32 zero = 0;

	if (bpf_map_update_elem(map, &zero, value, BPF_ANY) != 0)
		fail(what, errno);
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: xdp_cost OBJECT LINK INTERFACE ENTRIES ROUNDS\n");
		return 2;
	}
	const unsigned int interface_index = if_nametoindex(argv[3]);
	const unsigned long rounds = strtoul(argv[5], NULL, 10);

	if (!interface_index)
		fail(argv[3], errno);
	struct bpf_object *object = load(argv[1], (unsigned int)strtoul(argv[4], NULL, 10));
	const int vary = bpf_program__fd(bpf_object__find_program_by_name(object, "vary"));
	const int slot = bpf_map__fd(bpf_object__find_map_by_name(object, "slot"));
	const int sequence = bpf_map__fd(bpf_object__find_map_by_name(object, "sequence"));
	int programs[PROGRAMS];

	for (int p = 0; p < OURS; p++)
		programs[p] = bpf_program__fd(bpf_object__find_program_by_name(object, names[p]));
	programs[OURS] = program_of_link(argv[2]);

	double(*nanos)[PROGRAMS] = calloc(rounds, sizeof(*nanos));

	if (!nanos)
		fail("memory", errno);
	for (size_t f = 0; f < FLOW_COUNTS; f++) {
		const unsigned int flows = flow_counts[f];
		/* In this order they come into the map, and lie there; and in the other one they come from then on. */
		const struct sequence in_order = {.multiplier = 1, .increment = 1, .mask = flows - 1};
		const struct sequence scattered = {.multiplier = 1664525, .increment = 1013904223, .mask = flows - 1};

		for (unsigned long round = 0; round < rounds; round++) {
			for (int p = 0; p < PROGRAMS; p++) {
				set(slot, &programs[p], names[p]);
				set(sequence, &in_order, "the sequence");
				/* Also brings the map into the caches, as far as it fits. */
				run(vary, interface_index, flows);
				set(sequence, &scattered, "the sequence");
				nanos[round][p] = measure(vary, interface_index);
			}
		}
		for (int p = 0; p < PROGRAMS; p++) {
			printf("%s{\"flows\":%u,\"program\":\"%s\",\"nanos\":[", f + (size_t)p ? "," : "[", flows, names[p]);
			for (unsigned long round = 0; round < rounds; round++)
				printf("%s%.2f", round ? "," : "", nanos[round][p]);
			printf("]}");
		}
	}
	printf("]\n");
	return 0;
}
