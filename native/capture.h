// One host's capture: pinned programs and maps, owned by this process until it closes or ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "abi.h"
#include "exec_programs.h"
#include "exec_ring.h"
#include "pins.h"

namespace bpf2kafka {

class Capture {
 public:
  // Begins a capture, or takes over the one that is pinned, with its backlog. ring_bytes is only for a
  // new one. Throws ERR_OWNED, ERR_PIN_LAYOUT, ERR_KERNEL_UNSUPPORTED, ERR_PERMISSION, ERR_BPF.
  Capture(const std::string& pin_path, std::uint64_t ring_bytes);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // True when the pins were there before.
  bool resumed() const { return resumed_; }
  // True when this start replaced the program of an earlier version in slot 0.
  bool replaced_program() const { return replaced_program_; }

  const host_control& host() const { return *host_mapping_.as<host_control>(); }
  const stream_control& stream() const { return *stream_mapping_.as<stream_control>(); }
  ExecRing& ring() { return *ring_; }
  const ExecPrograms& programs() const { return programs_; }

  // Notes how far wall time is from the time since boot, when that has changed by more than 5 ms.
  void sync_clock();

  // Detaches the dispatcher and waits for runs that had begun; the records stay in the ring.
  void detach();
  // Removes every pin. What is in the ring is gone.
  void unpin();

 private:
  bool is_complete() const;
  void create(std::uint64_t ring_bytes);
  void resume();
  void open_maps();
  host_control& control() { return *host_mapping_.as<host_control>(); }

  PinPaths paths_;
  OwnerLock lock_;
  ExecPrograms programs_;
  bool resumed_ = false;
  bool replaced_program_ = false;
  Mapping host_mapping_;
  Mapping stream_mapping_;
  std::unique_ptr<ExecRing> ring_;
};

// Removes what is pinned without capturing. Returns how many records were thrown away; -1 when nothing
// was pinned. Throws ERR_BACKLOG when records wait and `discard` is false.
std::int64_t detach_pinned(const std::string& pin_path, bool discard);

}  // namespace bpf2kafka
