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
#include "event_stream.h"
#include "exec_programs.h"
#include "kernel.h"
#include "packet_capture.h"
#include "pins.h"

namespace bpf2kafka {

// Everything that the kernel counted through one epoch, exactly: totals since attach_id.
struct EpochCut {
  std::uint64_t epoch = 0;             // the one that ended
  std::uint64_t begin_boot_ns = 0;
  std::uint64_t end_boot_ns = 0;       // when the next one began
  StreamCut exec;
  std::optional<StreamCut> exit;
  std::vector<PacketTotals> packets;   // one for each slot of the interface table
};

struct CaptureSettings {
  std::uint64_t exec_ring_bytes = 0;  // of a new ring; 0: execs are not captured
  std::uint64_t exit_ring_bytes = 0;  // the same; 0: exits are not captured
  std::uint64_t orphan_after_ns = 0;  // so long after the last heartbeat nothing is captured any more; 0: never
  ExecSettings exec;
  bool attached = false;  // only go on with what somebody else has attached, which takes no capability
};

class Capture {
 public:
  // Begins a capture, or takes over the one that is pinned, with its backlog; exits begin with it or, when it had none,
  // now. The settings hold for what is captured from now on. Throws ERR_OWNED, ERR_PIN_LAYOUT,
  // ERR_KERNEL_UNSUPPORTED, ERR_PERMISSION, ERR_BPF; when it may only go on with one, ERR_NOT_ATTACHED.
  Capture(const std::string& pin_path, const CaptureSettings& settings);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // True when the pins were there before.
  bool resumed() const { return resumed_; }

  const host_control& host() const { return *host_mapping_.as<host_control>(); }
  EventStream& exec() { return exec_; }
  // Null when they are not captured by this process.
  EventStream* exit() { return exit_ ? &*exit_ : nullptr; }
  // True when execs are captured under these pins, or were and wait for a reader.
  bool has_pinned_execs() const;
  // True when exits are captured under these pins, by this process or not.
  bool has_pinned_exits() const;

  // Begins to count packets or goes on with that; from then on every epoch that ends freezes their maps, and the next
  // one can end only when those are acknowledged and cleared.
  PacketCapture& open_packets(const PacketSettings& settings);
  // True when packets are counted under these pins, whether they were opened or not.
  bool has_pinned_packets() const;
  // Null until they are opened.
  const PacketCapture* packets() const { return packets_.get(); }

  // Notes how far wall time is from the time since boot, when that has changed by more than 5 ms.
  void sync_clock();

  // Says that somebody reads. When that had not been said for too long, the programs have stopped: they go on, and the time
  // between counts as unobserved.
  void heartbeat();

  // Claims the next advance_epoch, on the main thread; throws when one is under way.
  void begin_advance();
  // Ends the present epoch and begins the next. May run on any thread, one at a time; takes some 20 ms.
  EpochCut advance_epoch();

  // Replaces the rules that keep execs out: each run sees all of the old ones or all of the new ones, and after it the new
  // ones. When it throws, the old ones hold. May run on any thread; the verifier takes some 0.2 s.
  void exclude(std::vector<ExecRule> rules);

  // Lets this user go on with the capture later, without any capability.
  void give_to(uid_t user, gid_t group) const;

  // Detaches the programs and waits for runs that had begun; records and counts stay.
  void detach();
  // Removes every pin. What is in the ring and in the maps is gone.
  void unpin();

 private:
  bool is_complete() const;
  void create();
  void resume();
  void resume_attached();
  void add_unobserved(std::uint64_t ns);
  host_control& control() { return *host_mapping_.as<host_control>(); }

  struct KernelCheck {
    KernelCheck(const std::string& pin_path, bool attached);
  };

  KernelCheck check_;
  PinPaths paths_;
  CaptureSettings settings_;
  OwnerLock lock_;
  Barrier barrier_;
  std::atomic<bool> advancing_ = false;
  // An epoch ends, or rules are replaced, on another thread while the capture may be told to end.
  std::mutex ending_;
  bool resumed_ = false;
  Mapping host_mapping_;
  EventStream exec_;
  std::optional<EventStream> exit_;
  std::unique_ptr<PacketCapture> packets_;
};

// The whole account of a capture that has ended, since attach_id.
struct FinalTotals {
  std::uint64_t attach_id = 0;  // 0: it had not begun
  std::uint64_t epoch = 0;
  FinalStream exec;
  std::optional<FinalStream> exit;
  std::vector<FinalPackets> packets;
};

// Ends and removes a pinned capture that nobody owns; empty when nothing was pinned. Throws ERR_BACKLOG
// when records or packets wait and `discard` is false.
std::optional<FinalTotals> detach_pinned(const std::string& pin_path, bool discard);

}  // namespace bpf2kafka
