// The pinned maps of the packet program: what it has counted, and what has become of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "abi.h"
#include "descriptor.h"
#include "pins.h"

namespace bpf2kafka {

// One key of a map of flows, 64 bytes; this is how it crosses to JavaScript.
struct PacketEntry {
  packet_key key;
  std::uint32_t reserved;
  packet_count count;
};

// What one slot of the interface table has counted in one class without a key.
struct ClassCount {
  std::uint32_t slot;
  packet_class traffic_class;
  packet_count count;
};

struct FrozenCounts {
  std::vector<PacketEntry> entries;
  std::vector<ClassCount> classes;

  // By slot: the packets of all of them, filtered ones left out.
  std::vector<std::uint64_t> packets;
};

// Totals since attach_id of one slot of the interface table.
struct PacketTotals {
  std::uint32_t slot;
  packet_counters counters;
};

packet_counters operator+(const packet_counters& a, const packet_counters& b);

class PacketMaps {
 public:
  explicit PacketMaps(const PinPaths& paths);

  packet_control& control() { return *control_mapping_.as<packet_control>(); }
  const packet_control& control() const { return *control_mapping_.as<packet_control>(); }
  // PACKET_INTERFACES entries.
  packet_interface* interfaces() { return interface_mapping_.as<packet_interface>(); }
  const packet_interface* interfaces() const { return interface_mapping_.as<packet_interface>(); }

  // The slot of the interface in the table; empty when it was never entered.
  std::optional<std::uint32_t> slot_of(std::uint32_t index) const;

  // What the programs have counted in the slot under the parity, on all CPUs.
  packet_counters counters(std::uint32_t slot, unsigned parity) const;
  // Keys that the map of the parity holds.
  std::uint64_t fill(unsigned parity) const;

  // Everything that was counted under the parity since it was cleared; nothing is changed. Exact when no program
  // writes to it. Into the same vectors again and again, since 200,000 keys are 13 MB.
  void read(unsigned parity, FrozenCounts& into) const;
  // By slot: the packets of this epoch, the present one, and those before it that are not acknowledged; filtered ones
  // left out.
  std::vector<std::uint64_t> unacknowledged(std::uint64_t epoch) const;
  // Of all slots.
  std::uint64_t backlog(std::uint64_t epoch) const;
  // Removes it. Begun anew after a crash it comes to the same end.
  void clear(unsigned parity);

  // The slot that tells the truth.
  const packet_commit& commit() const { return control().commits[truth()]; }
  // One store: everything through the epoch is acknowledged. `epoch` of the argument is the new one.
  void acknowledge(const packet_commit& commit);

 private:
  unsigned truth() const { return control().commits[0].epoch == control().acked_epoch ? 0 : 1; }
  bool is_untouched(unsigned parity) const;

  Descriptor control_fd_, interfaces_fd_, counters_fd_;
  Descriptor flows_fd_[2];
  Mapping control_mapping_, interface_mapping_;
  std::size_t cpus_;
};

}  // namespace bpf2kafka
