// One stream of events under the pins: its dispatcher, its counters, its rings. Whoever uses it owns the pins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "descriptor.h"
#include "event_programs.h"
#include "event_ring.h"
#include "exec_rules.h"
#include "kernel.h"
#include "layout.h"
#include "pins.h"
#include "ring_generation.h"

namespace bpf2kafka {

stream_counters operator+(const stream_counters& a, const stream_counters& b);

// What the kernel counted of a stream through one epoch, exactly: totals since attach_id.
struct StreamCut {
  stream_counters counters{};
  Filtered filtered;
  std::uint64_t skipped = 0;           // runs that the kernel's recursion guard kept out, when it was looked at
  std::uint64_t seq = 0;               // every number below it was given out in this epoch or before
  std::uint64_t producer_position = 0; // every record of this epoch or before ends before it
  std::uint64_t bare_producer_position = 0; // the same in the ring of bare records
};

// The whole account of a stream that has ended, since attach_id.
struct FinalStream {
  stream_counters counters{};
  Filtered filtered;
  std::uint64_t skipped = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t undecodable = 0;
  std::uint64_t first_offset = 0;  // as USER_FIRST_OFFSET
  std::uint64_t last_offset = 0;   // as USER_LAST_OFFSET
  std::uint64_t discarded = 0;     // records of the ring that are thrown away with the pins
  std::uint64_t spooled = 0;       // as USER_SPOOLED and the three below it
  std::uint64_t spool_acknowledged = 0;
  std::uint64_t spool_evicted = 0;
  std::uint64_t spool_missing = 0;
};

class EventStream {
 public:
  EventStream(const PinPaths& paths, std::string name)
      : paths_(paths), name_(std::move(name)), filtered_(name_ == "exit" ? &exec_rule::exits : &exec_rule::execs) {}

  // Whether everything but its link is pinned.
  bool is_pinned() const { return !RingGeneration::pinned(paths_, name_).empty(); }

  // Of these three one comes first. Makes the stream anew, in place of what a start left that was killed; it is not
  // attached yet. boot_ns: number of its dispatcher.
  void create(EventPrograms& programs, std::uint64_t ring_bytes, std::uint64_t attach_id, std::uint64_t boot_ns);
  // Goes on with it: puts the programs in place of others, and attaches it when it is not. Programs with another record
  // layout get rings of their own, of ring_bytes; nothing writes to the earlier ones any more.
  void resume(EventPrograms& programs, std::uint64_t ring_bytes, attachment& attached, std::uint64_t attach_id,
              const Barrier& barrier);
  // The same without loading anything. Throws ERR_NOT_ATTACHED when it is not attached, or not with these programs.
  void resume_attached(const EventPrograms& programs, const attachment& attached);
  // Opens what is pinned, for its end.
  void open();

  // After create.
  void attach(EventPrograms& programs, attachment& attached, std::uint64_t boot_ns);
  // The same long after the others: what came before was not observed.
  void attach_late(EventPrograms& programs, attachment& attached, std::uint64_t attach_id, std::uint64_t boot_ns);
  // Instead of either, when nothing is to be captured.
  void stay_detached(const attachment& attached) { attached_ = &attached; }
  // Puts the programs in place of those that are attached: each run is one of the old ones or of the new ones, and after
  // it of the new ones.
  void replace(EventPrograms& programs, const Barrier& barrier);
  // Tells the dispatcher to return at once and waits for runs that had begun.
  void detach(attachment& attached, const Barrier& barrier);

  const std::string& name() const { return name_; }
  // True when this start replaced the program in slot 0, of an earlier version or with other settings.
  bool replaced_program() const { return replaced_program_; }
  // Of the present records.
  const RecordLayout& layout() const { return layout_; }
  // How long it was detached since attach_id; after attach or resume.
  std::uint64_t unobserved_ns() const { return attached_->unobserved_ns; }
  const stream_control& control() const { return *mapping_.as<stream_control>(); }
  // Of both parities, at this moment: for display, not for the account.
  stream_counters counters() const { return control().counters[0] + control().counters[1]; }
  // Of the newest generation.
  EventRing& ring() { return *newest_->whole; }
  const EventRing& ring() const { return *newest_->whole; }
  EventRing* bare_ring() { return newest_->bare.get(); }
  // Of versions with other record layouts, oldest first.
  std::vector<RingGeneration>& earlier() { return earlier_; }
  // Records of all rings that no broker has acknowledged.
  std::uint64_t backlog() const;
  // Records of all rings that were moved to the spool; and those of which nothing else is known.
  std::uint64_t spooled() const;
  std::uint64_t spool_backlog() const;

  // After the barrier that begins the end of an epoch: the counters that nobody adds to until the next one has begun.
  StreamCut begin_cut(unsigned idle_parity) const;
  // After the barrier behind the new epoch: with those of the one that ended, which stand still.
  void end_cut(StreamCut& cut, unsigned frozen_parity) const;

  // After detach.
  FinalStream final_totals() const;

 private:
  void open_maps();
  // Of every generation.
  std::vector<EventRing*> rings() const;
  void open_rules();
  void add_generation(EventPrograms& programs, std::uint64_t ring_bytes, std::uint64_t attachment);
  void install(EventPrograms& programs);
  void open_dispatcher();
  // Of the dispatcher, and of what is attached beside it.
  void remove_links() const;
  bool is_attached(const attachment& attached) const;

  PinPaths paths_;
  std::string name_;
  const attachment* attached_ = nullptr;
  bool replaced_program_ = false;
  RecordLayout layout_;
  Descriptor dispatcher_;  // none after detach
  Mapping mapping_;
  RuleCounts filtered_;
  ExecRuleTable rules_;  // empty for the pins of a version that has none
  std::vector<RingGeneration> earlier_;
  std::optional<RingGeneration> newest_;
};

}  // namespace bpf2kafka
