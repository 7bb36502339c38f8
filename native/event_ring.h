// The BPF ring buffer of one stream of events, read behind a private cursor and committed apart from it.
//
// The kernel's own reader (libbpf's ring_buffer) moves the consumer position with every record, and with
// it gives the space away. Here the space is given away when a broker has acknowledged the records.
//
// Who writes what (kernel/bpf/ringbuf.c):
//   producer position   the kernel, store-release after the record's header stands
//   record header       the kernel; BUSY until the record is complete, then exchanged
//   consumer position   this process, and only the one that holds the OwnerLock
// So: (1) load-acquire the producer position before a header, (2) load-acquire a header before its
// payload, (3) store-release the consumer position after the last read of what lies before it.
//
// Positions are bytes since the stream began: those of a ring begin where no ring of an earlier generation has come
// (ring_control.position_base).
//
// Not thread-safe: all calls come from the JavaScript thread. Only the WakeUp has a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "abi.h"
#include "descriptor.h"

namespace bpf2kafka {

struct ReadResult {
  std::uint32_t records = 0;
  std::uint32_t bytes = 0;     // used of the buffer
  std::uint64_t position = 0;  // of the cursor behind the last record: what to commit
};

// What became of the records that a commit covers.
struct CommitCounts {
  std::uint64_t acknowledged = 0;
  std::uint64_t undecodable = 0;
  std::uint64_t spooled = 0;
  std::uint64_t spool_id = 0;      // of the spool that has them
  std::uint64_t first_offset = 0;  // as USER_FIRST_OFFSET
  std::uint64_t last_offset = 0;   // as USER_LAST_OFFSET
};

// What became of the records that were moved to the spool, totals since attach_id.
struct SpoolTotals {
  std::uint64_t spool_id = 0;  // as USER_SPOOL_ID; 0: leave it
  std::uint64_t acknowledged = 0;
  std::uint64_t evicted = 0;
  std::uint64_t missing = 0;
  std::uint64_t first_offset = 0;  // as USER_FIRST_OFFSET; 0: leave it
  std::uint64_t last_offset = 0;   // as USER_LAST_OFFSET; 0: leave it
};

class EventRing {
 public:
  // Both descriptors are of pinned maps. Changes nothing in them. Without a ring it is one that was retired.
  EventRing(Descriptor ring, Descriptor control);

  // Gives the ring up, and with it the kernel's memory; everything in it was committed. The totals stay.
  void retire();
  bool is_retired() const { return !data_; }

  // Before anything else, and only when the layout is known: finds the totals of the last commit and checks
  // that the ring can be read from there. What cannot be read is skipped, counted and committed at once.
  void resume();

  // Copies complete records, oldest first, each as: u32 payload bytes, u32 zero, payload, padding to 8.
  // Stops at the first that is not complete, or finds no room, or is one more than max_records.
  ReadResult read(std::uint8_t* into, std::size_t capacity, std::uint32_t max_records);

  // Lets the kernel reuse everything before `position`, and adds to the totals in the same store.
  void commit(std::uint64_t position, const CommitCounts& counts);

  // Commits what a process that ended had moved to the spool and not committed. False, and nothing is done, when no
  // record ends at `position`. Only before the first read.
  bool roll_forward(std::uint64_t position, const CommitCounts& counts);

  // Notes what became of spooled records. Each word is a total by itself, so it needs no commit.
  void note_spool(const SpoolTotals& totals);

  // Says that the reader is going to sleep. False when there is something to read: then it must not.
  bool arm();

  // Records between consumer and producer position, discarded ones left out.
  std::uint64_t backlog() const;

  // Of the records between the consumer position and `end`, those that latched `epoch` or an earlier one.
  // All of them must be complete: a barrier after the epoch ended makes sure of that.
  std::uint64_t pending(std::uint64_t epoch, std::uint64_t end) const;

  std::uint64_t consumer_position() const { return base() + consumed(); }
  std::uint64_t producer_position() const { return base() + produced(); }
  std::uint64_t waiting_bytes() const { return produced() - consumed(); }
  std::uint64_t ring_bytes() const { return ring_bytes_; }
  std::uint64_t high_water() const { return control()->high_water; }
  const std::uint64_t* totals() const { return totals_; }
  int fd() const { return ring_.get(); }
  ring_control* control() const { return control_mapping_.as<ring_control>(); }

 private:
  // The kernel's own positions, bytes since the ring was made.
  std::uint64_t consumed() const;
  std::uint64_t produced() const;
  std::uint64_t base() const { return control()->position_base; }
  std::uint32_t header_at(std::uint64_t position) const;
  bool is_span(std::uint64_t from, std::uint64_t to) const;
  template <typename Matches>
  std::uint64_t count(std::uint64_t end, Matches matches) const;
  void store(std::uint64_t position);
  void skip_to(std::uint64_t position);

  Descriptor ring_;
  Descriptor control_descriptor_;
  std::uint64_t ring_bytes_ = 0;
  Mapping consumer_;
  Mapping producer_;
  Mapping control_mapping_;
  const std::uint8_t* data_ = nullptr;

  std::uint64_t retired_at_ = 0;  // both of the kernel's positions, when the ring is given up
  std::uint64_t cursor_ = 0;
  int slot_ = 0;  // that holds the last commit
  std::uint64_t totals_[USER_COUNTERS] = {};
};

// Calls back, on a thread of its own, each time a program wakes the reader.
class WakeUp {
 public:
  WakeUp(int ring_fd, std::function<void()> on_wake);
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

 private:
  Descriptor stop_;
  Descriptor epoll_;
  std::thread thread_;
};

}  // namespace bpf2kafka
