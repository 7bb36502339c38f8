// The streams "packets:INTERFACE" of a capture: program, maps, links and the table of interfaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "interfaces.h"
#include "packet_maps.h"
#include "packet_programs.h"
#include "pins.h"
#include "xdp_links.h"

namespace bpf2kafka {

class PacketCapture {
 public:
  // Begins to count, on no interface yet, or goes on with what is pinned; then key kind and flows of the settings
  // are those of the pins. Nothing that this call began stays when it throws. attached: only go on with it, and load
  // nothing; throws ERR_NOT_ATTACHED when it is not there, or not with these settings.
  PacketCapture(const PinPaths& paths, const host_control& host, const PacketSettings& settings, bool attached);

  // True when the pins were there before.
  bool resumed() const { return resumed_; }
  bool replaced_program() const { return replaced_program_; }
  const PacketPrograms& programs() const { return programs_; }
  PacketMaps& maps() { return maps_; }
  const PacketMaps& maps() const { return maps_; }

  // The epoch before the present one: its map is frozen.
  std::uint64_t frozen_epoch() const { return host_.epoch - 1; }
  // Everything that was counted in it, until it is cleared. On any thread, one call at a time, as the next two.
  void read_frozen(FrozenCounts& into) const { maps_.read(frozen_epoch() & 1, into); }
  // The broker has all of it; what `published` and the offsets say holds from now on.
  void acknowledge(const packet_commit& commit);
  // After that, and before the next epoch.
  void clear_frozen();
  // Throws unless the frozen epoch is acknowledged and cleared: its maps are the next one's.
  void require_cleared() const;
  // Keys in the map that the programs write to.
  std::uint64_t fill() const { return maps_.fill(host_.epoch & 1); }
  // Packets that no broker has acknowledged, filtered ones left out.
  std::uint64_t backlog() const { return maps_.backlog(host_.epoch); }

  // Of each entry of the interface table, one parity.
  std::vector<PacketTotals> totals(unsigned parity) const;

  // Enters the interface in the table and puts the program on it. Throws ERR_BPF when the interface refuses or has
  // another program, which is left alone.
  Attached attach(const Interface& interface);
  // Indices of those that have the program. It is taken off interfaces that have moved to another network namespace.
  std::vector<std::uint32_t> attached(const std::vector<Interface>& present);
  // Takes it off the interface.
  void detach(std::uint32_t index);
  // Takes it off all of them; the caller waits for runs that have begun.
  void detach_all();

 private:
  const PinPaths& prepare(const PinPaths& paths, PacketSettings settings);
  packet_interface& enter(const Interface& interface);
  void leave(packet_interface& entry);
  void observe(const std::vector<std::uint32_t>& indices);

  const host_control& host_;
  const bool attached_;
  PacketPrograms programs_;
  std::uint64_t program_hash_;
  bool resumed_;
  bool replaced_program_ = false;
  PacketMaps maps_;
  XdpLinks links_;
};

// The account of an ended capture, of one entry of the interface table; packets, since attach_id.
struct FinalPackets {
  std::string name;
  packet_counters counters;
  std::uint64_t published = 0;
  std::uint64_t first_offset = 0;  // as in packet_commit
  std::uint64_t last_offset = 0;
  std::uint64_t discarded = 0;     // neither published nor filtered
};

// The same of a capture that nobody owns, without loading anything; empty when it counts no packets.
class PinnedPackets {
 public:
  static std::optional<PinnedPackets> open(const PinPaths& paths, const host_control& host);

  // Takes the program off every interface.
  void detach();
  // To each interface that has the program.
  void add_unobserved(std::uint64_t ns);
  // Packets that no broker has acknowledged, filtered ones left out.
  std::uint64_t backlog() const { return maps_.backlog(epoch_); }
  std::vector<FinalPackets> final_totals() const;

 private:
  PinnedPackets(const PinPaths& paths, const host_control& host);

  std::uint64_t epoch_;
  PacketMaps maps_;
  XdpLinks links_;
};

}  // namespace bpf2kafka
