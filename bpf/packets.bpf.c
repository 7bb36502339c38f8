// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Counts every packet that an interface receives, by key, and lets every packet pass.
 *
 * What cannot be keyed is counted in a class of its own and what finds no room in another one, so that the
 * counts of an epoch add up to what was seen.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "host.h"
#include "parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the addon before it loads. The verifier knows them and leaves out what they rule out. */
const volatile __u32 key_kind = PACKET_KEY_FLOW;
const volatile bool excludes_ipv4 = false;
const volatile bool excludes_ipv6 = false;
/* Frames may be in several buffers (Linux 5.18). */
const volatile bool has_fragments = false;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct packet_control);
} packet_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PACKET_INTERFACES);
	__type(key, __u32);
	__type(value, struct packet_interface);
} packet_interfaces SEC(".maps");

/* For each CPU, so that the queues of a fast card do not pass one cache line around. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * PACKET_INTERFACES);
	__type(key, __u32);
	__type(value, struct packet_counters);
} packet_counters SEC(".maps");

/* Preallocated, never LRU, which forgets without a word. The addon sets the size. */
struct flows {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct packet_key);
	__type(value, struct packet_count);
};
struct flows packet_flows_0 SEC(".maps");
struct flows packet_flows_1 SEC(".maps");

/* Of this instance of the program alone: other prefixes come with another one, and the links change to it. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipv4_prefix);
	__type(value, __u8);
} excluded_ipv4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipv6_prefix);
	__type(value, __u8);
} excluded_ipv6 SEC(".maps");

/* Atomic also on this CPU's own counters: with PREEMPT_RT one run can come between the halves of another. */
static __always_inline void add(struct packet_count *count, __u64 bytes)
{
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, bytes);
}

static __always_inline bool is_excluded_address(__u8 family, const __u8 *address)
{
	if (family == 4) {
		struct ipv4_prefix prefix = {.length = 32};
		__builtin_memcpy(prefix.address, address, sizeof(prefix.address));
		return bpf_map_lookup_elem(&excluded_ipv4, &prefix);
	}
	struct ipv6_prefix prefix = {.length = 128};
	__builtin_memcpy(prefix.address, address, sizeof(prefix.address));
	return bpf_map_lookup_elem(&excluded_ipv6, &prefix);
}

static __always_inline bool is_excluded(const struct packet *packet)
{
	if (packet->family == 0 || !(packet->family == 4 ? excludes_ipv4 : excludes_ipv6))
		return false;
	return is_excluded_address(packet->family, packet->source) ||
	       is_excluded_address(packet->family, packet->destination);
}

static __always_inline void write_address(__u8 *to, const struct packet *packet, const __u8 *address)
{
	if (packet->family == 4)
		__builtin_memcpy(to, address, 4);
	else
		__builtin_memcpy(to, address, 16);
}

static __always_inline void write_key(struct packet_key *key, const struct packet *packet, __u32 interface_index)
{
	key->interface_index = interface_index;
	key->family = packet->family;
	write_address(key->source, packet, packet->source);
	if (key_kind != PACKET_KEY_EXAMPLE)
		write_address(key->destination, packet, packet->destination);
	if (key_kind == PACKET_KEY_HOSTS)
		return;
	key->protocol = packet->protocol;
	key->destination_port = packet->destination_port;
	if (key_kind != PACKET_KEY_SERVICE || !has_ports(packet->protocol))
		key->source_port = packet->source_port;
	if (key_kind != PACKET_KEY_EXAMPLE)
		key->vlan = packet->vlan;
}

/* Returns false when there was no room. */
static __always_inline bool add_to_flow(void *flows, const struct packet_key *key, __u64 bytes,
					struct packet_counters *counters)
{
	struct packet_count *count = bpf_map_lookup_elem(flows, key);

	if (!count) {
		struct packet_count first = {.packets = 1, .bytes = bytes};

		if (bpf_map_update_elem(flows, key, &first, BPF_NOEXIST) == 0) {
			__sync_fetch_and_add(&counters->keys, 1);
			return true;
		}
		/* Another CPU was faster, or the map is full. */
		count = bpf_map_lookup_elem(flows, key);
		if (!count)
			return false;
	}
	add(count, bytes);
	return true;
}

/* The slot of the interface in the table; PACKET_INTERFACES when it has none. */
static __always_inline __u32 find_interface(__u32 index, __u64 *link_type)
{
	for (__u32 probe = 0; probe < PACKET_PROBES; probe++) {
		__u32 slot = (index + probe) % PACKET_INTERFACES;
		struct packet_interface *interface = bpf_map_lookup_elem(&packet_interfaces, &slot);

		if (interface && interface->index == index) {
			*link_type = interface->link_type;
			return slot;
		}
	}
	return PACKET_INTERFACES;
}

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 link_type = PACKET_LINK_ETHERNET;
	__u32 slot = find_interface(ctx->ingress_ifindex, &link_type);
	struct host_control *h = bpf_map_lookup_elem(&host, &zero);

	if (!h || slot == PACKET_INTERFACES)
		return XDP_PASS; /* never: an interface is entered before it gets the program */
	if (is_orphaned(h))
		return XDP_PASS;

	__u64 epoch = *(volatile __u64 *)&h->epoch;
	__u32 element = 2 * slot + (epoch & 1);
	struct packet_counters *counters = bpf_map_lookup_elem(&packet_counters, &element);

	if (!counters)
		return XDP_PASS; /* never: the map has this element */

	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 bytes = has_fragments ? bpf_xdp_get_buff_len(ctx) : (__u64)(end - data);

	add(&counters->seen, bytes);

	struct packet packet = {};
	enum packet_class class = parse_packet(&packet, ctx, data, end, bytes, link_type == PACKET_LINK_IP);

	if (is_excluded(&packet)) {
		class = PACKET_CLASS_FILTERED;
	} else if (class == PACKET_KEYED) {
		struct packet_key key = {};

		write_key(&key, &packet, ctx->ingress_ifindex);
		if (epoch & 1 ? add_to_flow(&packet_flows_1, &key, bytes, counters)
			      : add_to_flow(&packet_flows_0, &key, bytes, counters))
			return XDP_PASS;
		class = PACKET_CLASS_OVERFLOW;
	}
	if (class < PACKET_CLASSES)
		add(&counters->classes[class], bytes);
	return XDP_PASS;
}
