// The rings of one record layout of a stream: those that the programs write to, or those of an earlier version, which are
// read to their end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "event_ring.h"
#include "layout.h"
#include "pins.h"

namespace bpf2kafka {

struct RingGeneration {
  PinPaths paths;
  std::string stream;
  std::unique_ptr<EventRing> whole;
  // What found no room in the other one: the beginning of each record. Null for a stream, and for the pins of a version,
  // that has none.
  std::unique_ptr<EventRing> bare;

  // Those whose rings were set up to the end, oldest first; a start that was killed may have left others.
  static std::vector<PinPaths> pinned(const PinPaths& paths, const std::string& stream);
  // Opens what is pinned; a ring that is not any more is one that was retired.
  RingGeneration(const PinPaths& paths, const std::string& stream);

  // Those that there are.
  std::vector<EventRing*> rings() const;
  bool is_retired() const { return whole->is_retired() && (!bare || bare->is_retired()); }
  // Gives up one of them, which is empty and not written to any more: its memory and its pin. Its totals stay.
  void retire(EventRing& ring);

  std::uint64_t layout_hash() const { return whole->control()->layout_hash; }
  // How the records are laid out; throws ERR_PIN_LAYOUT when that is not pinned.
  RecordLayout layout() const;
  // Pins that, and says that all of the generation is there.
  void complete(const RecordLayout& layout);
};

}  // namespace bpf2kafka
