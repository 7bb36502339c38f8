/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * From the Ethernet header to the ports. Every access is bounded twice: by the end of the frame's first
 * buffer, which the verifier asks for, and by the length that the IP header gives, behind which a short frame
 * has padding.
 */
#ifndef BPF2KAFKA_PARSE_H
#define BPF2KAFKA_PARSE_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* The keys of the maps of excluded addresses (struct bpf_lpm_trie_key). */
struct ipv4_prefix {
	__u32 length; /* bits */
	__u8 address[4];
};

struct ipv6_prefix {
	__u32 length; /* bits */
	__u8 address[16];
};

/* Of a packet, as far as it could be read. The addresses stand in the packet. */
struct packet {
	const __u8 *source;
	const __u8 *destination;
	__u16 vlan; /* these as in packet_key */
	__u16 source_port;
	__u16 destination_port;
	__u8 family; /* 0: its addresses could not be read */
	__u8 protocol;
};

struct ethernet_header {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct vlan_tag {
	__be16 control; /* the lower 12 bits are the id */
	__be16 type;
};

struct ipv4_header {
	__u8 version_and_words;
	__u8 service;
	__be16 total_bytes;
	__be16 id;
	__be16 fragment; /* the lower 13 bits are the offset, in units of 8 bytes */
	__u8 time_to_live;
	__u8 protocol;
	__be16 checksum;
	__u8 source[4];
	__u8 destination[4];
};

struct ipv6_header {
	__u8 version; /* the upper 4 bits */
	__u8 flow[3];
	__be16 payload_bytes;
	__u8 next;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

/* How all IPv6 extension headers begin, and the fragment header whole (RFC 8200). */
struct extension_header {
	__u8 next;
	__u8 units; /* 8 bytes each, without the first 8; of the authentication header 4 each, without the first 8 */
	__be16 fragment; /* the upper 13 bits are the offset */
	__be32 id;
};

struct first_words {
	__u8 type;
	__u8 code;
	__be16 second;
};

enum {
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86DD,
	TYPE_VLAN = 0x8100,
	TYPE_PROVIDER_VLAN = 0x88A8,
	TYPE_OLD_QINQ = 0x9100,
};

/* Protocol numbers (IANA). */
enum {
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_DCCP = 33,
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_AUTHENTICATION = 51,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_DESTINATION_OPTIONS = 60,
	PROTOCOL_SCTP = 132,
	PROTOCOL_MOBILITY = 135,
	PROTOCOL_UDPLITE = 136,
	PROTOCOL_HIP = 139,
	PROTOCOL_SHIM6 = 140,
};

/* A frame with more is counted as non_ip. */
#define VLAN_TAGS 4
/* RFC 8200 knows 7, and hosts drop packets with many more; beyond it a packet is malformed. */
#define EXTENSION_HEADERS 16
/* No true chain of headers is as long. The verifier lets no offset that is not known pass 0xffff (MAX_PACKET_OFF). */
#define OFFSET_MASK 0x7fff

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP ||
	       protocol == PROTOCOL_DCCP || protocol == PROTOCOL_UDPLITE;
}

static __always_inline bool is_icmp(const struct packet *packet)
{
	return packet->protocol == (packet->family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);
}

/* `at` is behind the IP headers; `left` are the bytes of the IP packet from there on. */
static __always_inline enum packet_class parse_transport(struct packet *packet, void *at, void *end, __u32 left)
{
	bool ports = has_ports(packet->protocol);

	if (!ports && !is_icmp(packet))
		return PACKET_KEYED;

	struct first_words *words = at;

	if (left < sizeof(*words) || (void *)(words + 1) > end)
		return PACKET_CLASS_MALFORMED;
	packet->source_port = ports ? words->type << 8 | words->code : words->type;
	packet->destination_port = ports ? bpf_ntohs(words->second) : words->code;
	return PACKET_KEYED;
}

static __always_inline enum packet_class parse_ipv4(struct packet *packet, void *at, void *end, __u64 left)
{
	struct ipv4_header *ip = at;

	if ((void *)(ip + 1) > end || ip->version_and_words >> 4 != 4)
		return PACKET_CLASS_MALFORMED;

	__u32 header_bytes = (ip->version_and_words & 0xf) * 4;
	__u32 total_bytes = bpf_ntohs(ip->total_bytes);

	/* Segments that the host put together may be longer than the field can say: it is 0 then (BIG TCP). */
	if (total_bytes == 0 && left > 0xffff)
		total_bytes = left;
	if (header_bytes < sizeof(*ip) || total_bytes < header_bytes || total_bytes > left)
		return PACKET_CLASS_MALFORMED;

	packet->family = 4;
	packet->protocol = ip->protocol;
	packet->source = ip->source;
	packet->destination = ip->destination;
	if (ip->fragment & bpf_htons(0x1fff))
		return PACKET_CLASS_FRAGMENT;
	return parse_transport(packet, at + header_bytes, end, total_bytes - header_bytes);
}

static __always_inline bool is_extension(__u8 protocol)
{
	return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
	       protocol == PROTOCOL_AUTHENTICATION || protocol == PROTOCOL_DESTINATION_OPTIONS ||
	       protocol == PROTOCOL_MOBILITY || protocol == PROTOCOL_HIP || protocol == PROTOCOL_SHIM6;
}

/* What read_extension says of a header that is not followed by another one. */
enum {
	EXTENSION_MALFORMED = -1,
	EXTENSION_FRAGMENT = -2,
};

/*
 * The extension header `offset` bytes behind the frame's beginning: its bytes, and in the lowest 8 bits the protocol of
 * the next header. The verifier looks at a global function once, and not again for each turn of the loop around it.
 */
__noinline int read_extension(struct xdp_md *ctx, __u32 offset, __u32 protocol)
{
	void *end = (void *)(long)ctx->data_end;
	struct extension_header *extension = (void *)(long)ctx->data + (offset & OFFSET_MASK);

	if (offset > OFFSET_MASK || (void *)(extension + 1) > end)
		return EXTENSION_MALFORMED;
	if (protocol == PROTOCOL_FRAGMENT) {
		if (extension->fragment & bpf_htons(0xfff8))
			return EXTENSION_FRAGMENT;
		return sizeof(*extension) << 8 | extension->next;
	}
	if (protocol == PROTOCOL_AUTHENTICATION)
		return (extension->units + 2) * 4 << 8 | extension->next;
	return (extension->units + 1) * 8 << 8 | extension->next;
}

static __always_inline enum packet_class parse_ipv6(struct packet *packet, struct xdp_md *ctx, void *at, void *end,
						    __u64 left)
{
	struct ipv6_header *ip = at;

	if ((void *)(ip + 1) > end || ip->version >> 4 != 6)
		return PACKET_CLASS_MALFORMED;

	__u32 payload_bytes = bpf_ntohs(ip->payload_bytes);

	left -= sizeof(*ip);
	/* A jumbo payload, or segments that the host put together, as with IPv4. */
	if (payload_bytes == 0 && left > 0xffff)
		payload_bytes = left;
	if (payload_bytes > left)
		return PACKET_CLASS_MALFORMED;

	packet->family = 6;
	packet->source = ip->source;
	packet->destination = ip->destination;

	void *payload = ip + 1;
	__u32 payload_at = payload - (void *)(long)ctx->data;
	__u32 protocol = ip->next;
	__u32 offset = 0;

	for (int i = 0; i < EXTENSION_HEADERS && is_extension(protocol); i++) {
		if (offset + sizeof(struct extension_header) > payload_bytes)
			return PACKET_CLASS_MALFORMED;

		int found = read_extension(ctx, payload_at + offset, protocol);

		if (found < 0)
			return found == EXTENSION_FRAGMENT ? PACKET_CLASS_FRAGMENT : PACKET_CLASS_MALFORMED;
		offset += found >> 8;
		protocol = found & 0xff;
	}
	if (is_extension(protocol) || offset > payload_bytes || offset > OFFSET_MASK)
		return PACKET_CLASS_MALFORMED;
	packet->protocol = protocol;
	return parse_transport(packet, payload + (offset & OFFSET_MASK), end, payload_bytes - offset);
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(TYPE_VLAN) || type == bpf_htons(TYPE_PROVIDER_VLAN) || type == bpf_htons(TYPE_OLD_QINQ);
}

/*
 * Fills the packet as far as it goes. `data` and `end` are ctx's.
 * @bytes: of the whole frame, which may go on in further buffers behind `end`
 * @bare: the frame begins with the IP header
 * Returns PACKET_KEYED, or why there is no key.
 */
static __always_inline enum packet_class parse_packet(struct packet *packet, struct xdp_md *ctx, void *data, void *end,
						      __u64 bytes, bool bare)
{
	void *at = data;
	__be16 type;

	if (bare) {
		__u8 *version = data;

		if ((void *)(version + 1) > end)
			return PACKET_CLASS_MALFORMED;
		type = *version >> 4 == 4 ? bpf_htons(TYPE_IPV4) : *version >> 4 == 6 ? bpf_htons(TYPE_IPV6) : 0;
	} else {
		struct ethernet_header *ethernet = data;

		if ((void *)(ethernet + 1) > end)
			return PACKET_CLASS_MALFORMED;
		type = ethernet->type;
		at = ethernet + 1;
		for (int i = 0; i < VLAN_TAGS && is_vlan(type); i++) {
			struct vlan_tag *tag = at;

			if ((void *)(tag + 1) > end)
				return PACKET_CLASS_MALFORMED;
			if (i == 0)
				packet->vlan = (bpf_ntohs(tag->control) & 0xfff) + 1;
			type = tag->type;
			at = tag + 1;
		}
	}

	__u64 left = bytes - (at - data);

	if (type == bpf_htons(TYPE_IPV4))
		return parse_ipv4(packet, at, end, left);
	if (type == bpf_htons(TYPE_IPV6))
		return parse_ipv6(packet, ctx, at, end, left);
	return PACKET_CLASS_NON_IP;
}

#endif
