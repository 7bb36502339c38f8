/*
 * xdp_hold INTERFACE native|generic: puts an XDP program of its own, named someone_elses, on the interface, prints its id,
 * and keeps it there until standard input ends.
 */
#include <linux/if_link.h>
#include <net/if.h>

#include "bpf_call.h"

int main(int argc, char **argv)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attributes;
	struct bpf_prog_info info;

	if (argc != 3) {
		fprintf(stderr, "usage: xdp_hold INTERFACE native|generic\n");
		return 2;
	}
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_XDP;
	attributes.expected_attach_type = BPF_XDP;
	attributes.insns = (uint64_t)(uintptr_t)program;
	attributes.insn_cnt = sizeof(program) / sizeof(program[0]);
	attributes.license = (uint64_t)(uintptr_t)"GPL";
	strcpy(attributes.prog_name, "someone_elses");
	const int fd = bpf_call(BPF_PROG_LOAD, &attributes);
	if (fd < 0)
		fail("load");

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_create.prog_fd = (uint32_t)fd;
	attributes.link_create.target_ifindex = if_nametoindex(argv[1]);
	attributes.link_create.attach_type = BPF_XDP;
	attributes.link_create.flags = strcmp(argv[2], "native") == 0 ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	if (bpf_call(BPF_LINK_CREATE, &attributes) < 0)
		fail("attach");

	memset(&attributes, 0, sizeof(attributes));
	memset(&info, 0, sizeof(info));
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (uint64_t)(uintptr_t)&info;
	if (bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes) != 0)
		fail("inspect");
	printf("%u\n", info.id);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
