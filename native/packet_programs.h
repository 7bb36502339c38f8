// The compiled packet program with its settings, from the object file in the addon to the pinned maps.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "abi.h"
#include "bpf_object.h"
#include "layout.h"
#include "pins.h"

namespace bpf2kafka {

struct Prefix {
  std::uint32_t bits = 0;
  int family = 4;  // 4 or 6
  std::array<std::uint8_t, 16> address{};  // IPv4 in the first four
};

struct PacketSettings {
  packet_key_kind key_kind = PACKET_KEY_FLOW;
  std::uint32_t flows = 0;       // keys that each of the two maps holds
  std::vector<Prefix> excluded;  // packets from or to these are not keyed
};

class PacketPrograms {
 public:
  PacketPrograms();

  // Of a key; with the enums of it and of what is counted.
  RecordLayout layout() const;
  // Tells whether what is attached came from these, with these prefixes excluded.
  std::uint64_t hash(const std::vector<Prefix>& excluded) const;

  // Creates the maps that are not pinned yet, pins them, and loads the program on them; once. Key kind and size
  // of maps that are pinned already must be theirs.
  void load(const PinPaths& paths, const PacketSettings& settings);
  // Loads the program on maps that go with it: whether this kernel takes it.
  void try_load(const PacketSettings& settings);
  // After load.
  int program() const { return bpf_program__fd(object_.program("count_packets")); }

 private:
  // Before the loading.
  void set_up(const PacketSettings& settings);
  void exclude(const std::vector<Prefix>& prefixes) const;

  BpfObject object_;
};

}  // namespace bpf2kafka
