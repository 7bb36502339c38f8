// The pinned links that keep the packet program on interfaces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi.h"
#include "pins.h"

namespace bpf2kafka {

struct Attached {
  packet_mode mode = PACKET_MODE_NATIVE;
  std::string native_refusal;  // why it is not native; empty when it is
};

class XdpLinks {
 public:
  explicit XdpLinks(PinPaths paths) : paths_(std::move(paths)) {}

  // Indices of the interfaces that have the program. Links of interfaces that are gone are unpinned.
  std::vector<std::uint32_t> attached() const;
  // In the driver, or in the stack when the driver refuses. Throws ERR_BPF with both reasons.
  Attached attach(std::uint32_t index, const std::string& name, int program) const;
  // Puts the program in the place of the one that each link has, under load.
  void update(int program) const;
  // Takes the program off the interface, or off every one; runs that have begun may go on.
  void detach(std::uint32_t index) const;
  void detach_all() const;

 private:
  void unpin(std::uint32_t index) const;

  PinPaths paths_;
};

}  // namespace bpf2kafka
