// The pin directory: where everything is, whose it is, and how it goes away.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "descriptor.h"

namespace bpf2kafka {

// Names below the pin directory; bpf/abi.h says what each is.
class PinPaths {
 public:
  explicit PinPaths(std::string directory, std::uint32_t generation = 1)
      : directory_(std::move(directory)), generation_(generation) {}
  // The same, but for the rings those of another generation.
  PinPaths of_generation(std::uint32_t number) const { return PinPaths(directory_, number); }

  const std::string& directory() const { return directory_; }
  std::string layout() const;      // v1, the directory of this version's layout
  std::string generation() const;  // v1/g1
  std::uint32_t generation_number() const { return generation_; }
  // Those that have a directory, oldest first.
  std::vector<std::uint32_t> generations() const;
  // Of a stream of events: the program of its dispatcher, and the dispatcher's link.
  std::string dispatcher(const std::string& stream) const;
  std::string link(const std::string& stream) const;
  // The two maps of the barrier, for a reader that may make none.
  std::string barrier() const { return layout() + "/barrier"; }
  std::string barrier_inner() const { return layout() + "/barrier_inner"; }
  // Of a map by its name in the BPF program.
  std::string map(const std::string& name) const;
  // Of the packet program on the interface with this index, and the indices of those that are pinned.
  std::string packet_link(std::uint32_t index) const;
  std::vector<std::uint32_t> packet_links() const;

  void create_directories() const;
  // Unpins everything and removes the directories.
  void remove() const;
  // The same, but for the pin directory itself.
  void remove_layout() const;
  // Everything of one stream of events.
  void remove_stream(const std::string& stream) const;
  // The rings of one in this generation.
  void remove_rings(const std::string& stream) const;
  // Everything of packets.
  void remove_packets() const;
  // Throws ERR_PIN_LAYOUT when the directory holds the pins of another layout version.
  void refuse_other_layouts() const;

 private:
  std::string directory_;
  std::uint32_t generation_;
};

// Exclusive for a process that moves consumer positions; the kernel lets go of it when the process ends,
// however it ends.
class OwnerLock {
 public:
  OwnerLock() = default;
  // Creates the directory. Throws ERR_OWNED, with the owner's pid when it is known.
  explicit OwnerLock(const PinPaths& paths);

 private:
  Descriptor directory_;
};

// What `run --attached` is told: it reads, and what it would read is not there or not what it asked for.
Error not_attached(const std::string& subject, const std::string& reason);

// A pinned object, for its owner; an empty descriptor when there is none of that path.
Descriptor open_pinned(const std::string& path);
// Removes one pin, which may be gone already.
void remove_pin(const std::string& path);
bool is_there(const std::string& path);
// The memory of a pinned map of one element, by its name in the BPF program.
Mapping map_pinned(const PinPaths& paths, const std::string& name, std::size_t bytes);

// A copy of the host map's element for anyone, by way of a read-only descriptor (which the kernel does
// not let us map); empty when it is not pinned.
std::optional<host_control> read_host(const PinPaths& paths);

}  // namespace bpf2kafka
