// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What the packet program is compared with: programs that do less, with the same parser and the same key.
 *
 * `vary` makes one of many flows of the frame, then tail-calls whatever is in the slot, so that all of them, ours too, see
 * the same flows in the same order, behind the same code.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../../bpf/abi.h"
#include "../../bpf/parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The flow that comes next, and how the one behind it is found: flow = (flow * multiplier + increment) & mask. */
struct sequence {
	__u32 flow;
	__u32 multiplier;
	__u32 increment;
	__u32 mask;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sequence);
} sequence SEC(".maps");

/* Read by nobody; without it the compiler would leave the parser out. */
__u64 parsed;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} slot SEC(".maps");

/* As packet_flows_0, with as many entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct packet_key);
	__type(value, struct packet_count);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

/* The frame is UDP over IPv4 without options (xdp_cost): the flow is in the lower bytes of the source address. */
SEC("xdp")
int vary(struct xdp_md *ctx)
{
	struct ethernet_header *ethernet = (void *)(long)ctx->data;
	struct ipv4_header *ip = (void *)(ethernet + 1);
	__u32 zero = 0;
	struct sequence *next = bpf_map_lookup_elem(&sequence, &zero);

	if (!next || (void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	ip->source[1] = next->flow >> 16;
	ip->source[2] = next->flow >> 8;
	ip->source[3] = next->flow;
	next->flow = (next->flow * next->multiplier + next->increment) & next->mask;
	bpf_tail_call(ctx, &slot, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

static __always_inline enum packet_class parse(struct packet *packet, struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	return parse_packet(packet, ctx, data, end, end - data, false);
}

SEC("xdp")
int parse_only(struct xdp_md *ctx)
{
	struct packet packet = {};

	if (parse(&packet, ctx) != PACKET_KEYED)
		return XDP_ABORTED;
	parsed = packet.vlan + packet.source_port + packet.destination_port + packet.protocol + packet.source[3] +
		 packet.destination[3];
	return XDP_PASS;
}

SEC("xdp")
int bare_hash(struct xdp_md *ctx)
{
	struct packet packet = {};

	if (parse(&packet, ctx) != PACKET_KEYED)
		return XDP_ABORTED;

	struct packet_key key = {
		.interface_index = ctx->ingress_ifindex,
		.family = packet.family,
		.protocol = packet.protocol,
		.vlan = packet.vlan,
		.source_port = packet.source_port,
		.destination_port = packet.destination_port,
	};

	if (packet.family == 4) {
		__builtin_memcpy(key.source, packet.source, 4);
		__builtin_memcpy(key.destination, packet.destination, 4);
	} else {
		__builtin_memcpy(key.source, packet.source, 16);
		__builtin_memcpy(key.destination, packet.destination, 16);
	}

	__u64 bytes = ctx->data_end - ctx->data;
	struct packet_count *count = bpf_map_lookup_elem(&flows, &key);

	if (!count) {
		struct packet_count first = {.packets = 1, .bytes = bytes};

		return bpf_map_update_elem(&flows, &key, &first, BPF_NOEXIST) == 0 ? XDP_PASS : XDP_ABORTED;
	}
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, bytes);
	return XDP_PASS;
}

/* The least that counts anything: one total for each CPU. The driver lets one run after the other on each. */
SEC("xdp")
int count_total(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *total = bpf_map_lookup_elem(&totals, &zero);

	if (total)
		(*total)++;
	return XDP_PASS;
}
