/*
 * packet_run PINS INDEX SLOT [twice]: runs frames through the packet program that is on the interface INDEX, which stands
 * in SLOT of the table, without a network; with `twice` each of them in two threads at the same moment.
 *
 * PINS is the directory of the pins' layout. Standard input: for each frame u32 bytes, u32 times, and the frame. A line
 * for each: the verdict, or an errno below 0; what the interface's counters grew by, over all CPUs and both parities:
 * seen packets and bytes, the same of each class in the order of enum packet_class, and keys.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "../../bpf/abi.h"
#include "bpf_call.h"

#define FRAME_BYTES 70000
#define WORDS (sizeof(struct packet_counters) / sizeof(uint64_t))
#define TOLD_WORDS (offsetof(struct packet_counters, reserved) / sizeof(uint64_t))

static int open_program(const char *path, uint32_t index)
{
	union bpf_attr attributes;
	struct bpf_link_info info;

	memset(&attributes, 0, sizeof(attributes));
	memset(&info, 0, sizeof(info));
	attributes.info.bpf_fd = (uint32_t)open_pin(path);
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (uint64_t)(uintptr_t)&info;
	if (bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes) != 0)
		fail("the link");
	if (info.xdp.ifindex != index) {
		fprintf(stderr, "packet_run: the link is of interface %u\n", info.xdp.ifindex);
		exit(1);
	}
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_id = info.prog_id;
	int program = bpf_call(BPF_PROG_GET_FD_BY_ID, &attributes);
	if (program < 0)
		fail("the program");
	return program;
}

struct work {
	int program;
	uint32_t index;
	const void *frame;
	uint32_t bytes;
	uint32_t times;
};

/* Returns the verdict, or an errno below 0. */
static int run(const struct work *work)
{
	const uint32_t bytes = work->bytes;
	union bpf_attr attributes;
	struct xdp_md context = {.data_end = bytes, .ingress_ifindex = work->index};

	memset(&attributes, 0, sizeof(attributes));
	attributes.test.prog_fd = (uint32_t)work->program;
	attributes.test.data_in = (uint64_t)(uintptr_t)work->frame;
	attributes.test.data_size_in = bytes;
	attributes.test.repeat = work->times;
	attributes.test.ctx_in = (uint64_t)(uintptr_t)&context;
	attributes.test.ctx_size_in = sizeof(context);
	return bpf_call(BPF_PROG_TEST_RUN, &attributes) == 0 ? (int)attributes.test.retval : -errno;
}

/* How often the other thread was told to run, and how often it has. */
static atomic_uint told, done;

/* Nobody sleeps, so that both begin within nanoseconds; where there is one CPU alone, they take turns. */
static void wait_for(atomic_uint *counter, unsigned int value)
{
	for (unsigned int turns = 1; atomic_load(counter) != value; turns++)
		if (turns % 10000 == 0)
			sched_yield();
}

static void *run_beside(void *argument)
{
	for (unsigned int round = 1;; round++) {
		wait_for(&told, round);
		run(argument);
		atomic_store(&done, round);
	}
	return NULL;
}

static void read_counters(int map, uint32_t slot, size_t cpus, uint64_t *sums)
{
	static struct packet_counters of_cpus[4096];

	memset(sums, 0, WORDS * sizeof(*sums));
	for (uint32_t element = 2 * slot; element <= 2 * slot + 1; element++) {
		union bpf_attr attributes;

		memset(&attributes, 0, sizeof(attributes));
		attributes.map_fd = (uint32_t)map;
		attributes.key = (uint64_t)(uintptr_t)&element;
		attributes.value = (uint64_t)(uintptr_t)of_cpus;
		if (bpf_call(BPF_MAP_LOOKUP_ELEM, &attributes) != 0)
			fail("the counters");
		for (size_t cpu = 0; cpu < cpus; cpu++)
			for (size_t i = 0; i < WORDS; i++)
				sums[i] += ((uint64_t *)&of_cpus[cpu])[i];
	}
}

/* How many values a per-CPU map has: possible CPUs, which are not always those that are there. */
static size_t possible_cpus(void)
{
	unsigned int first, last = 0;
	FILE *file = fopen("/sys/devices/system/cpu/possible", "r");

	if (!file)
		fail("possible CPUs");
	int found = fscanf(file, "%u-%u", &first, &last);
	fclose(file);
	if (found < 1 || (found == 2 ? last : first) >= 4096)
		fail("possible CPUs");
	return (found == 2 ? last : first) + 1;
}

int main(int argc, char **argv)
{
	static unsigned char frame[FRAME_BYTES];
	uint32_t head[2];
	char path[256];

	const int twice = argc == 5 && strcmp(argv[4], "twice") == 0;

	if (argc != 4 && !twice) {
		fprintf(stderr, "usage: packet_run PINS INDEX SLOT [twice]\n");
		return 2;
	}
	const uint32_t index = (uint32_t)strtoul(argv[2], NULL, 10), slot = (uint32_t)strtoul(argv[3], NULL, 10);
	const size_t cpus = possible_cpus();

	snprintf(path, sizeof(path), "%s/packet_link_%u", argv[1], index);
	struct work work = {.program = open_program(path, index), .index = index, .frame = frame};
	snprintf(path, sizeof(path), "%s/packet_counters", argv[1]);
	const int counters = open_pin(path);
	uint64_t before[WORDS], after[WORDS];

	pthread_t thread;
	if (twice && pthread_create(&thread, NULL, run_beside, &work) != 0)
		fail("the second thread");
	read_counters(counters, slot, cpus, before);
	while (fread(head, sizeof(head), 1, stdin) == 1) {
		if (head[0] > FRAME_BYTES || fread(frame, 1, head[0], stdin) != head[0]) {
			fprintf(stderr, "packet_run: a frame is cut off\n");
			return 1;
		}
		work.bytes = head[0];
		work.times = head[1];
		if (twice)
			atomic_fetch_add(&told, 1);
		printf("%d", run(&work));
		if (twice)
			wait_for(&done, atomic_load(&told));
		read_counters(counters, slot, cpus, after);
		for (size_t i = 0; i < TOLD_WORDS; i++)
			printf(" %lu", after[i] - before[i]);
		printf("\n");
		memcpy(before, after, sizeof(before));
	}
	return 0;
}
