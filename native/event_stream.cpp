#include "event_stream.h"

#include <bpf/bpf.h>

#include <algorithm>

#include "error.h"

namespace bpf2kafka {

namespace {

std::uint64_t skipped_by(const Descriptor& dispatcher) {
  if (!dispatcher) return 0;
  bpf_prog_info info{};
  __u32 bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(dispatcher.get(), &info, &bytes) != 0) fail("inspect", "the dispatcher", errno);
  return info.recursion_misses;
}

[[noreturn]] void fail_without_ring(const PinPaths& paths) {
  throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths.directory(), 0, "a ring of it is missing");
}

// The offset of the first record that was acknowledged, of two rings whose records go to one topic; 0: none yet.
std::uint64_t first_of(std::uint64_t a, std::uint64_t b) { return a && b ? std::min(a, b) : std::max(a, b); }

}  // namespace

stream_counters operator+(const stream_counters& a, const stream_counters& b) {
  return {.entered = a.entered + b.entered,
          .fell_through = a.fell_through + b.fell_through,
          .ring_full = a.ring_full + b.ring_full,
          .ring_busy = a.ring_busy + b.ring_busy,
          .bare = a.bare + b.bare};
}

void EventStream::open_maps() {
  mapping_ = map_pinned(paths_, name_ + "_stream", sizeof(stream_control));
  earlier_.clear();
  for (const PinPaths& paths : RingGeneration::pinned(paths_, name_)) earlier_.emplace_back(paths, name_);
  newest_ = std::move(earlier_.back());
  earlier_.pop_back();
  open_rules();
}

void EventStream::open_rules() {
  const Descriptor rules = open_pinned(paths_.map("exec_rules"));
  rules_ = rules ? ExecRuleTable(rules.get()) : ExecRuleTable();
}

std::vector<EventRing*> EventStream::rings() const {
  std::vector<EventRing*> all;
  for (const RingGeneration& generation : earlier_)
    for (EventRing* ring : generation.rings()) all.push_back(ring);
  for (EventRing* ring : newest_->rings()) all.push_back(ring);
  return all;
}

void EventStream::open() {
  if (!is_pinned()) fail_without_ring(paths_);
  open_maps();
  for (EventRing* ring : rings()) ring->resume();
}

void EventStream::create(EventPrograms& programs, std::uint64_t ring_bytes, std::uint64_t attach_id,
                         std::uint64_t boot_ns) {
  paths_.remove_stream(name_);
  layout_ = programs.layout();
  programs.load(paths_, ring_bytes, boot_ns);
  map_pinned(paths_, name_ + "_stream", sizeof(stream_control)).as<stream_control>()->seq = attach_id;
  newest_.emplace(paths_, name_);
  for (EventRing* ring : newest_->rings()) ring->control()->ring_bytes = ring->ring_bytes();
  install(programs);
  newest_->complete(layout_);
  open();
}

void EventStream::resume(EventPrograms& programs, std::uint64_t ring_bytes, attachment& attached,
                         std::uint64_t attach_id, const Barrier& barrier) {
  layout_ = programs.layout();
  attached_ = &attached;
  open();
  for (EventRing* ring : newest_->rings())
    if (ring->is_retired()) fail_without_ring(paths_);
  const bool other_layout = newest_->layout_hash() != layout_.hash();
  if (other_layout) (void)newest_->layout(); // or its records could never be read: then nothing is touched
  if (!other_layout && programs.has_bare_ring() && !bare_ring()) fail_without_ring(paths_);

  replaced_program_ = other_layout || ring().control()->program_hash != programs.hash();
  const bool was_attached = is_attached(attached);
  // As small as it can be, when execs were not captured.
  const bool other_size = !was_attached && ring().ring_bytes() != ring_bytes && backlog() == 0;
  const std::uint64_t now = boot_nanoseconds();
  // What an end that was killed half-way has left.
  if (!was_attached) remove_links();
  if (!was_attached || replaced_program_) {
    const std::uint64_t number = was_attached ? attached.number : now;
    if (other_layout || other_size)
      add_generation(programs, ring_bytes, number);
    else
      programs.load(newest_->paths, ring().ring_bytes(), number);
    open_rules(); // which the programs may have brought
    install(programs);
  }
  // From here on nothing is written to the earlier rings. A start that was killed may have left that to this one, and a
  // reader without the right to unpin the ring that it has read to its end.
  if (!earlier_.empty()) barrier.wait();
  for (RingGeneration& generation : earlier_)
    for (EventRing* ring : generation.rings())
      if (!ring->is_retired() && ring->backlog() == 0) generation.retire(*ring);
  if (was_attached)
    open_dispatcher();
  else
    attach_late(programs, attached, attach_id, now);
}

// Until it is complete the next start takes the one before for the newest, and until its program is installed this one
// gets no records: whenever it is killed, nothing is lost.
void EventStream::add_generation(EventPrograms& programs, std::uint64_t ring_bytes, std::uint64_t attachment) {
  // More than the ring before can be filled with until it is written to no more.
  constexpr std::uint64_t apart = std::uint64_t{1} << 40;

  const PinPaths paths = paths_.of_generation(newest_->paths.generation_number() + 1);
  paths.create_directories();
  paths.remove_rings(name_);
  programs.load(paths, ring_bytes, attachment);
  RingGeneration next(paths, name_);
  for (EventRing* ring : next.rings()) ring->control()->ring_bytes = ring->ring_bytes();
  const std::uint64_t* totals = ring().totals();
  next.whole->control()->position_base = ring().producer_position() + apart;
  next.whole->note_spool({.spool_id = totals[USER_SPOOL_ID],
                          .acknowledged = totals[USER_SPOOL_ACKNOWLEDGED],
                          .evicted = totals[USER_SPOOL_EVICTED],
                          .missing = totals[USER_SPOOL_MISSING]});
  next.complete(layout_);
  for (EventRing* ring : next.rings()) ring->resume();
  earlier_.push_back(std::move(*newest_));
  newest_ = std::move(next);
}

void EventStream::resume_attached(const EventPrograms& programs, const attachment& attached) {
  layout_ = programs.layout();
  attached_ = &attached;
  if (!is_pinned()) throw not_attached(paths_.directory(), "the programs of " + name_ + " are not there");
  open_maps();
  if (!is_attached(attached)) throw not_attached(paths_.directory(), "the programs of " + name_ + " are not attached");
  // The hash of the programs says that of the layout, too.
  if (ring().control()->program_hash != programs.hash())
    throw not_attached(paths_.directory(), "the programs of " + name_ + " are of another version, or have other settings");
  for (EventRing* ring : rings()) ring->resume();
  open_dispatcher();
}

// Without a hash in between: a start that comes upon that does not know which of the two is installed.
void EventStream::install(EventPrograms& programs) {
  __u64& hash = ring().control()->program_hash;
  __atomic_store_n(&hash, 0, __ATOMIC_SEQ_CST);
  programs.install(paths_);
  __atomic_store_n(&hash, programs.hash(), __ATOMIC_SEQ_CST);
}

void EventStream::replace(EventPrograms& programs, const Barrier& barrier) {
  if (!dispatcher_) throw Error("ERR_ADDON", "replace the programs of", "the capture", EBADF, "it has ended");
  programs.load(newest_->paths, ring().ring_bytes(), attached_->number);
  install(programs);
  barrier.wait();
}

void EventStream::open_dispatcher() {
  dispatcher_ = open_pinned(paths_.dispatcher(name_));
  if (!dispatcher_) fail("open", "the dispatcher", errno);
}

bool EventStream::is_attached(const attachment& attached) const {
  return is_there(paths_.link(name_)) && attached.number != 0;
}

// The link of the dispatcher last: as long as it is there, the stream counts as attached.
void EventStream::remove_links() const {
  for (const char* beside : {"_fork", "_failed"}) remove_pin(paths_.link(name_ + beside));
  remove_pin(paths_.dispatcher(name_));
  remove_pin(paths_.link(name_));
}

void EventStream::attach(EventPrograms& programs, attachment& attached, std::uint64_t boot_ns) {
  attached_ = &attached;
  __atomic_store_n(&attached.number, boot_ns, __ATOMIC_RELEASE);
  programs.attach(paths_);
  open_dispatcher();
  attached.detached_boot_ns = 0;
}

void EventStream::attach_late(EventPrograms& programs, attachment& attached, std::uint64_t attach_id,
                              std::uint64_t boot_ns) {
  // Counted up to now and from now on, so that a start that is killed here loses nothing of it. One that was
  // killed before it had attached for the first time has observed nothing since its pins were made.
  attached.unobserved_ns += boot_ns - (attached.detached_boot_ns ? attached.detached_boot_ns : attach_id * 1000);
  attached.detached_boot_ns = boot_ns;
  attach(programs, attached, boot_ns);
}

// How soon the kernel then detaches the dispatcher does not matter: unpinning alone leaves it attached for a grace
// period and a work queue's turn (kernel/bpf/inode.c, bpf_link_put in syscall.c), and to watch for its end takes
// CAP_SYS_ADMIN.
void EventStream::detach(attachment& attached, const Barrier& barrier) {
  if (!is_there(paths_.link(name_))) return;
  __atomic_store_n(&attached.number, 0, __ATOMIC_SEQ_CST);
  barrier.wait();
  mapping_.as<stream_control>()->skipped_before += skipped_by(open_pinned(paths_.dispatcher(name_)));
  dispatcher_.close();
  remove_links();
  attached.detached_boot_ns = boot_nanoseconds();
}

StreamCut EventStream::begin_cut(unsigned idle_parity) const {
  return {.counters = control().counters[idle_parity],
          .filtered = rules_.filtered(filtered_, idle_parity),
          .seq = __atomic_load_n(&control().seq, __ATOMIC_ACQUIRE)};
}

void EventStream::end_cut(StreamCut& cut, unsigned frozen_parity) const {
  cut.counters = cut.counters + control().counters[frozen_parity];
  cut.filtered = std::move(cut.filtered) + rules_.filtered(filtered_, frozen_parity);
  cut.producer_position = ring().producer_position();
  if (newest_->bare) cut.bare_producer_position = newest_->bare->producer_position();
  cut.skipped = control().skipped_before + skipped_by(dispatcher_);
}

std::uint64_t EventStream::backlog() const {
  std::uint64_t records = 0;
  for (const EventRing* ring : rings()) records += ring->backlog();
  return records;
}

std::uint64_t EventStream::spooled() const {
  std::uint64_t records = 0;
  for (const EventRing* ring : rings()) records += ring->totals()[USER_SPOOLED];
  return records;
}

std::uint64_t EventStream::spool_backlog() const {
  const std::uint64_t* totals = ring().totals();
  return spooled() - totals[USER_SPOOL_ACKNOWLEDGED] - totals[USER_SPOOL_EVICTED] - totals[USER_SPOOL_MISSING];
}

FinalStream EventStream::final_totals() const {
  FinalStream final{.counters = counters(),
                    .filtered = rules_.filtered(filtered_),
                    .skipped = control().skipped_before,
                    .discarded = backlog(),
                    .spooled = spooled(),
                    .spool_acknowledged = ring().totals()[USER_SPOOL_ACKNOWLEDGED],
                    .spool_evicted = ring().totals()[USER_SPOOL_EVICTED],
                    .spool_missing = ring().totals()[USER_SPOOL_MISSING]};
  for (const EventRing* ring : rings()) {
    const std::uint64_t* totals = ring->totals();
    final.acknowledged += totals[USER_ACKNOWLEDGED];
    final.undecodable += totals[USER_UNDECODABLE];
    final.first_offset = first_of(final.first_offset, totals[USER_FIRST_OFFSET]);
    final.last_offset = std::max(final.last_offset, totals[USER_LAST_OFFSET]);
  }
  return final;
}

}  // namespace bpf2kafka
