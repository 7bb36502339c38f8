// One host's capture: pinned programs and maps, owned by this process until it closes or ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "exec_programs.h"
#include "exec_rules.h"
#include "event_ring.h"
#include "kernel.h"
#include "packet_capture.h"
#include "pins.h"

namespace bpf2kafka {

// Everything that the kernel counted through one epoch, exactly: totals since attach_id.
struct EpochCut {
  std::uint64_t epoch = 0;             // the one that ended
  std::uint64_t begin_boot_ns = 0;
  std::uint64_t end_boot_ns = 0;       // when the next one began
  stream_counters counters{};
  FilteredExecs filtered;
  std::uint64_t skipped = 0;           // runs that the kernel's recursion guard kept out, when it was looked at
  std::uint64_t seq = 0;               // every number below it was given out in this epoch or before
  std::uint64_t producer_position = 0; // every record of this epoch or before ends before it
  std::vector<PacketTotals> packets;   // one for each slot of the interface table
};

class Capture {
 public:
  // Begins a capture, or takes over the one that is pinned, with its backlog. ring_bytes is only for a
  // new one; the settings hold for what is captured from now on. Throws ERR_OWNED, ERR_PIN_LAYOUT,
  // ERR_KERNEL_UNSUPPORTED, ERR_PERMISSION, ERR_BPF.
  Capture(const std::string& pin_path, std::uint64_t ring_bytes, const ExecSettings& settings);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // True when the pins were there before.
  bool resumed() const { return resumed_; }
  // True when this start replaced the program in slot 0, of an earlier version or with other settings.
  bool replaced_program() const { return replaced_program_; }

  const host_control& host() const { return *host_mapping_.as<host_control>(); }
  const stream_control& stream() const { return *stream_mapping_.as<stream_control>(); }
  // Of both parities, at this moment: for display, not for the account.
  stream_counters counters() const;
  EventRing& ring() { return *ring_; }
  const ExecPrograms& programs() const { return programs_; }

  // Begins to count packets or goes on with that; from then on every epoch that ends freezes their maps, and the next
  // one can end only when those are acknowledged and cleared.
  PacketCapture& open_packets(const PacketSettings& settings);
  // True when packets are counted under these pins, whether they were opened or not.
  bool has_pinned_packets() const;
  // Null until they are opened.
  const PacketCapture* packets() const { return packets_.get(); }

  // Notes how far wall time is from the time since boot, when that has changed by more than 5 ms.
  void sync_clock();

  // Claims the next advance_epoch, on the main thread; throws when one is under way.
  void begin_advance();
  // Ends the present epoch and begins the next. May run on any thread, one at a time; takes some 20 ms.
  EpochCut advance_epoch();

  // Puts these rules in the place of those that keep execs out now: an exec falls under the old ones or under the new
  // ones, and when it returns under the new ones. May run on any thread; takes some 0.2 s. After a failure the old rules
  // hold.
  void exclude(std::vector<ExecRule> rules);

  // Detaches the programs and waits for runs that had begun; records and counts stay.
  void detach();
  // Removes every pin. What is in the ring and in the maps is gone.
  void unpin();

 private:
  bool is_complete() const;
  void create(std::uint64_t ring_bytes);
  void resume();
  void open_maps();
  void install(ExecPrograms& programs, const ExecSettings& settings);
  host_control& control() { return *host_mapping_.as<host_control>(); }

  struct KernelCheck {
    explicit KernelCheck(const std::string& pin_path);
  };

  KernelCheck check_;
  PinPaths paths_;
  ExecSettings settings_;
  OwnerLock lock_;
  ExecPrograms programs_;
  Barrier barrier_;
  Descriptor dispatcher_;  // none after detach
  std::atomic<bool> advancing_ = false;
  // An epoch ends, or rules are replaced, on another thread while the capture may be told to end.
  std::mutex ending_;
  bool resumed_ = false;
  bool replaced_program_ = false;
  Mapping host_mapping_;
  Mapping stream_mapping_;
  ExecRuleTable rules_;
  std::unique_ptr<EventRing> ring_;
  std::unique_ptr<PacketCapture> packets_;
};

// The whole account of a capture that has ended, since attach_id.
struct FinalTotals {
  std::uint64_t attach_id = 0;  // 0: it had not begun
  std::uint64_t epoch = 0;
  stream_counters counters{};
  FilteredExecs filtered;
  std::uint64_t skipped = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t undecodable = 0;
  std::uint64_t first_offset = 0;  // as USER_FIRST_OFFSET
  std::uint64_t last_offset = 0;   // as USER_LAST_OFFSET
  std::uint64_t discarded = 0;     // records that were thrown away
  std::vector<FinalPackets> packets;
};

// Ends and removes a pinned capture that nobody owns; empty when nothing was pinned. Throws ERR_BACKLOG
// when records or packets wait and `discard` is false.
std::optional<FinalTotals> detach_pinned(const std::string& pin_path, bool discard);

}  // namespace bpf2kafka
