#include "packet_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <string>

#include "error.h"

namespace bpf2kafka {

namespace {

// Keys that one system call brings; the longest chain of a bucket must fit.
constexpr std::uint32_t batch_keys = 8192;

Descriptor open_map(const PinPaths& paths, const char* name) {
  Descriptor fd = open_pinned(paths.map(name));
  if (!fd) throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths.directory(), 0, std::string(name) + " is missing");
  return fd;
}

packet_count operator+(const packet_count& a, const packet_count& b) {
  return {.packets = a.packets + b.packets, .bytes = a.bytes + b.bytes};
}

packet_count operator-(const packet_count& a, const packet_count& b) {
  return {.packets = a.packets - b.packets, .bytes = a.bytes - b.bytes};
}

// Walks the whole map with a call a batch: `call` is one of libbpf's two that share a signature.
template <typename Call, typename Each>
void walk(int map, Call call, Each each) {
  std::vector<packet_key> keys(batch_keys);
  std::vector<packet_count> counts(batch_keys);
  std::uint32_t position = 0;
  for (bool first = true, more = true; more; first = false) {
    std::uint32_t count = batch_keys;
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    if (call(map, first ? nullptr : &position, &position, keys.data(), counts.data(), &count, &options) != 0) {
      if (errno != ENOENT) fail("read", "a map of flows", errno);
      more = false;
    }
    for (std::uint32_t i = 0; i < count; i++) each(keys[i], counts[i]);
  }
}

}  // namespace

packet_counters operator+(const packet_counters& a, const packet_counters& b) {
  packet_counters sum{};
  sum.seen = a.seen + b.seen;
  for (int i = 0; i < PACKET_CLASSES; i++) sum.classes[i] = a.classes[i] + b.classes[i];
  sum.keys = a.keys + b.keys;
  return sum;
}

PacketMaps::PacketMaps(const PinPaths& paths)
    : control_fd_(open_map(paths, "packet_control")),
      interfaces_fd_(open_map(paths, "packet_interfaces")),
      counters_fd_(open_map(paths, "packet_counters")),
      flows_fd_{open_map(paths, "packet_flows_0"), open_map(paths, "packet_flows_1")},
      control_mapping_(control_fd_.get(), sizeof(packet_control), PROT_READ | PROT_WRITE, 0, "packet_control"),
      interface_mapping_(interfaces_fd_.get(), PACKET_INTERFACES * sizeof(packet_interface), PROT_READ | PROT_WRITE, 0,
                         "packet_interfaces") {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) fail("count", "the possible CPUs", -cpus);
  cpus_ = static_cast<std::size_t>(cpus);
}

std::optional<std::uint32_t> PacketMaps::slot_of(std::uint32_t index) const {
  for (std::uint32_t probe = 0; probe < PACKET_PROBES; probe++) {
    const std::uint32_t slot = (index + probe) % PACKET_INTERFACES;
    if (interfaces()[slot].index == index) return slot;
  }
  return std::nullopt;
}

packet_counters PacketMaps::counters(std::uint32_t slot, unsigned parity) const {
  std::vector<packet_counters> of_cpus(cpus_);
  const std::uint32_t element = 2 * slot + parity;
  if (bpf_map_lookup_elem(counters_fd_.get(), &element, of_cpus.data()) != 0) fail("read", "packet_counters", errno);
  packet_counters sum{};
  for (const packet_counters& of_cpu : of_cpus) sum = sum + of_cpu;
  return sum;
}

std::uint64_t PacketMaps::fill(unsigned parity) const {
  std::uint64_t keys = 0;
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++)
    if (interfaces()[slot].index) keys += counters(slot, parity).keys - interfaces()[slot].base[parity].keys;
  return keys;
}

bool PacketMaps::is_untouched(unsigned parity) const {
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++)
    if (interfaces()[slot].index &&
        counters(slot, parity).seen.packets != interfaces()[slot].base[parity].seen.packets)
      return false;
  return true;
}

void PacketMaps::read(unsigned parity, FrozenCounts& into) const {
  into.entries.clear();
  into.classes.clear();
  into.packets.assign(PACKET_INTERFACES, 0);
  // Walking an empty map costs as much as a full one's buckets.
  if (is_untouched(parity)) return;
  walk(flows_fd_[parity].get(), bpf_map_lookup_batch, [&](const packet_key& key, const packet_count& count) {
    into.entries.push_back({.key = key, .reserved = 0, .count = count});
    into.packets[slot_of(key.interface_index).value()] += count.packets;
  });
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++) {
    if (!interfaces()[slot].index) continue;
    const packet_counters now = counters(slot, parity);
    for (int i = 0; i < PACKET_CLASSES; i++) {
      const packet_count count = now.classes[i] - interfaces()[slot].base[parity].classes[i];
      if (!count.packets) continue;
      into.classes.push_back({.slot = slot, .traffic_class = static_cast<packet_class>(i), .count = count});
      if (i != PACKET_CLASS_FILTERED) into.packets[slot] += count.packets;
    }
  }
}

std::vector<std::uint64_t> PacketMaps::unacknowledged(std::uint64_t epoch) const {
  FrozenCounts counts;
  read(epoch & 1, counts);
  std::vector<std::uint64_t> packets = counts.packets;
  // Acknowledged counts may not be cleared yet.
  if (control().acked_epoch == epoch - 1) return packets;
  read((epoch - 1) & 1, counts);
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++) packets[slot] += counts.packets[slot];
  return packets;
}

std::uint64_t PacketMaps::backlog(std::uint64_t epoch) const {
  std::uint64_t sum = 0;
  for (const std::uint64_t packets : unacknowledged(epoch)) sum += packets;
  return sum;
}

void PacketMaps::clear(unsigned parity) {
  // Keys first: a base that is moved up says that they are gone.
  if (!is_untouched(parity))
    walk(flows_fd_[parity].get(), bpf_map_lookup_and_delete_batch,
         [](const packet_key&, const packet_count&) {});
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++)
    if (interfaces()[slot].index) interfaces()[slot].base[parity] = counters(slot, parity);
}

void PacketMaps::acknowledge(const packet_commit& commit) {
  packet_control& shared = control();
  shared.commits[1 - truth()] = commit;
  __atomic_store_n(&shared.acked_epoch, commit.epoch, __ATOMIC_RELEASE);
}

}  // namespace bpf2kafka
