#include "packet_programs.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "error.h"

// objects.S.in
extern "C" const unsigned char packets_object_start[];
extern "C" const unsigned char packets_object_end[];

namespace bpf2kafka {

namespace {

// Frames in several buffers came with Linux 5.18, and with them the helper. Drivers refuse a program that cannot take them
// at a large MTU.
bool kernel_has_fragments() { return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_get_buff_len, nullptr) == 1; }

// bpf_lpm_trie_key, with room for either family.
struct TrieKey {
  std::uint32_t bits;
  std::uint8_t address[16];
};

}  // namespace

PacketPrograms::PacketPrograms() : object_(packets_object_start, packets_object_end, "the packet program") {}

RecordLayout PacketPrograms::layout() const { return describe_record(object_.types(), "packet_key", {"packet_class", "packet_key_kind"}); }

std::uint64_t PacketPrograms::hash(const std::vector<Prefix>& excluded) const {
  std::uint64_t hash = object_.hash();
  for (const Prefix& prefix : excluded) {
    hash = fnv1a(&prefix.bits, sizeof(prefix.bits), hash);
    hash = fnv1a(&prefix.family, sizeof(prefix.family), hash);
    hash = fnv1a(prefix.address.data(), prefix.address.size(), hash);
  }
  return hash;
}

void PacketPrograms::set_up(const PacketSettings& settings) {
  const auto of_family = [&](int family) {
    return std::count_if(settings.excluded.begin(), settings.excluded.end(),
                         [&](const Prefix& prefix) { return prefix.family == family; });
  };
  object_.set_constant<__u32>("key_kind", settings.key_kind);
  object_.set_constant("excludes_ipv4", of_family(4) > 0);
  object_.set_constant("excludes_ipv6", of_family(6) > 0);
  if (kernel_has_fragments()) {
    object_.set_constant("has_fragments", true);
    bpf_program* program = object_.program("count_packets");
    bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS);
  }
  bpf_map__set_max_entries(object_.map("excluded_ipv4"), static_cast<__u32>(std::max(of_family(4), 1L)));
  bpf_map__set_max_entries(object_.map("excluded_ipv6"), static_cast<__u32>(std::max(of_family(6), 1L)));
  for (const char* name : {"packet_flows_0", "packet_flows_1"})
    bpf_map__set_max_entries(object_.map(name), settings.flows);
}

void PacketPrograms::try_load(const PacketSettings& settings) {
  set_up(settings);
  object_.load_unpinned();
}

void PacketPrograms::load(const PinPaths& paths, const PacketSettings& settings) {
  set_up(settings);
  for (const char* name :
       {"host", "packet_control", "packet_interfaces", "packet_counters", "packet_flows_0", "packet_flows_1"})
    bpf_map__set_pin_path(object_.map(name), paths.map(name).c_str());
  try {
    object_.load();
  } catch (const Error& error) {
    if (error.number != ENOMEM && error.number != E2BIG) throw;
    throw Error("ERR_BPF", "make room for", std::to_string(settings.flows) + " packet keys, twice", error.number,
                "the kernel has not that much memory for it: lower --packet-flows");
  }
  exclude(settings.excluded);
}

void PacketPrograms::exclude(const std::vector<Prefix>& prefixes) const {
  for (const Prefix& prefix : prefixes) {
    TrieKey key{.bits = prefix.bits, .address = {}};
    std::memcpy(key.address, prefix.address.data(), sizeof(key.address));
    const std::uint8_t present = 1;
    const bpf_map* map = object_.map(prefix.family == 4 ? "excluded_ipv4" : "excluded_ipv6");
    if (bpf_map_update_elem(bpf_map__fd(map), &key, &present, BPF_ANY) != 0) fail("exclude", "an address prefix", errno);
  }
}

}  // namespace bpf2kafka
