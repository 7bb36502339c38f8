#include "event_ring.h"

#include <bpf/bpf.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "error.h"

namespace bpf2kafka {

namespace {

constexpr std::uint32_t header_bytes = BPF_RINGBUF_HDR_SZ;

// What pending() reads of a record, whichever stream it is of.
static_assert(offsetof(exec_record, seq) == offsetof(record_head, seq));
static_assert(offsetof(exec_record, epoch) == offsetof(record_head, epoch));
static_assert(offsetof(exit_record, seq) == offsetof(record_head, seq));
static_assert(offsetof(exit_record, epoch) == offsetof(record_head, epoch));

constexpr std::uint64_t align8(std::uint64_t bytes) { return (bytes + 7) & ~std::uint64_t{7}; }
constexpr std::uint32_t length_of(std::uint32_t header) { return header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT); }

}  // namespace

EventRing::EventRing(Descriptor ring, Descriptor control)
    : ring_(std::move(ring)), control_descriptor_(std::move(control)) {
  control_mapping_ = Mapping(control_descriptor_.get(), sizeof(ring_control), PROT_READ | PROT_WRITE, 0, "the ring's control");
  if (!ring_) {
    // A commit moves the position on, so of the two slots the one that is further is the last.
    const commit_slot* slots = this->control()->commits;
    slot_ = slots[1].position > slots[0].position ? 1 : 0;
    std::copy_n(slots[slot_].counters, static_cast<int>(USER_COUNTERS), totals_);
    cursor_ = retired_at_ = slots[slot_].position;
    return;
  }
  bpf_map_info info{};
  __u32 info_bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(ring_.get(), &info, &info_bytes) != 0) fail("inspect", "the ring buffer", errno);
  ring_bytes_ = info.max_entries;

  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // The consumer page may be mapped writable only alone; behind it come the producer page and the data,
  // twice, so that a record never wraps.
  consumer_ = Mapping(ring_.get(), page, PROT_READ | PROT_WRITE, 0, "the ring's consumer page");
  producer_ = Mapping(ring_.get(), page + 2 * ring_bytes_, PROT_READ, static_cast<off_t>(page), "the ring's data");
  data_ = producer_.as<std::uint8_t>() + page;
}

void EventRing::retire() {
  retired_at_ = cursor_;
  data_ = nullptr;
  ring_bytes_ = 0;
  producer_ = Mapping();
  consumer_ = Mapping();
  ring_.close();
}

std::uint64_t EventRing::produced() const {
  return data_ ? __atomic_load_n(producer_.as<std::uint64_t>(), __ATOMIC_ACQUIRE) : retired_at_;
}

std::uint64_t EventRing::consumed() const {
  return data_ ? __atomic_load_n(consumer_.as<std::uint64_t>(), __ATOMIC_ACQUIRE) : retired_at_;
}

std::uint32_t EventRing::header_at(std::uint64_t position) const {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(data_ + (position & (ring_bytes_ - 1))), __ATOMIC_ACQUIRE);
}

// Whether records can lie between these positions at all.
bool EventRing::is_span(std::uint64_t from, std::uint64_t to) const {
  return from <= to && to - from <= ring_bytes_ && (from | to) % 8 == 0;
}

void EventRing::resume() {
  if (is_retired()) return;
  const std::uint64_t consumer = consumed();
  const std::uint64_t producer = produced();
  const commit_slot* slots = control()->commits;

  if (slots[0].position == consumer)
    slot_ = 0;
  else if (slots[1].position == consumer)
    slot_ = 1;
  else  // somebody else moved the position: the newest totals are the best that is known
    slot_ = slots[1].position > slots[0].position ? 1 : 0;
  const bool known = slots[slot_].position == consumer;
  std::copy_n(slots[slot_].counters, static_cast<int>(USER_COUNTERS), totals_);

  cursor_ = consumer;
  bool sound = known && is_span(consumer, producer);
  std::uint64_t position = consumer;
  while (sound && position < producer) {
    const std::uint64_t step = header_bytes + align8(length_of(header_at(position)));
    sound = step <= producer - position;
    position += step;
  }
  if (sound) return;
  skip_to(producer);
  // At once: with a position past the producer the kernel finds no room, and nothing would ever be committed.
  store(producer);
}

// The headers cannot be trusted: nobody knows where the next record starts. A named loss.
void EventRing::skip_to(std::uint64_t position) {
  totals_[USER_CORRUPT] += 1;
  totals_[USER_CORRUPT_BYTES] += position > cursor_ ? position - cursor_ : 0;
  cursor_ = position;
}

ReadResult EventRing::read(std::uint8_t* into, std::size_t capacity, std::uint32_t max_records) {
  const std::uint64_t producer = produced();
  ReadResult result;

  if (cursor_ < producer && !is_span(cursor_, producer)) skip_to(producer);
  const std::uint64_t consumer = consumed();
  if (is_span(consumer, producer) && producer - consumer > control()->high_water) control()->high_water = producer - consumer;

  while (cursor_ < producer && result.records < max_records) {
    const std::uint32_t header = header_at(cursor_);
    const std::uint32_t bytes = length_of(header);
    const std::uint64_t step = header_bytes + align8(bytes);
    if (step > producer - cursor_) {
      skip_to(producer);
      break;
    }
    if (header & BPF_RINGBUF_BUSY_BIT) break;
    if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
      if (result.bytes + step > capacity) {
        if (result.records == 0)
          throw Error("ERR_ADDON", "read a record from", "the ring buffer", ENOBUFS,
                      "it has " + std::to_string(bytes) + " bytes, more than the buffer");
        break;
      }
      std::uint8_t* out = into + result.bytes;
      const std::uint32_t prefix[2] = {bytes, 0};
      std::memcpy(out, prefix, sizeof(prefix));
      std::memcpy(out + sizeof(prefix), data_ + (cursor_ & (ring_bytes_ - 1)) + header_bytes, align8(bytes));
      result.records += 1;
      result.bytes += static_cast<std::uint32_t>(step);
    }
    cursor_ += step;
  }
  result.position = base() + cursor_;
  return result;
}

void EventRing::commit(std::uint64_t end, const CommitCounts& counts) {
  const std::uint64_t consumer = consumed();
  const std::uint64_t position = end - base();
  if (end < base() || position < consumer || position > cursor_)
    throw Error("ERR_ADDON", "commit", "position " + std::to_string(end), EINVAL, "it was not read");
  totals_[USER_ACKNOWLEDGED] += counts.acknowledged;
  totals_[USER_UNDECODABLE] += counts.undecodable;
  totals_[USER_SPOOLED] += counts.spooled;
  if (counts.spooled > 0) totals_[USER_SPOOL_ID] = counts.spool_id;
  if (counts.acknowledged > 0) {
    totals_[USER_FIRST_OFFSET] = counts.first_offset;
    totals_[USER_LAST_OFFSET] = counts.last_offset;
  }
  if (position == consumer) return;  // nothing was read; the slot of this position is the one that counts

  store(position);
}

void EventRing::store(std::uint64_t position) {
  const int idle = 1 - slot_;
  commit_slot& slot = control()->commits[idle];
  std::copy_n(totals_, static_cast<int>(USER_COUNTERS), slot.counters);
  slot.position = position;
  __atomic_store_n(consumer_.as<std::uint64_t>(), position, __ATOMIC_RELEASE);
  slot_ = idle;
}

bool EventRing::roll_forward(std::uint64_t end, const CommitCounts& counts) {
  std::uint64_t at = consumed();
  const std::uint64_t position = end - base();
  if (end < base() || cursor_ != at || position > produced() || !is_span(at, position)) return false;
  while (at < position) {
    const std::uint32_t header = header_at(at);
    if (header & BPF_RINGBUF_BUSY_BIT) return false;
    at += header_bytes + align8(length_of(header));
  }
  if (at != position) return false;
  cursor_ = position;
  commit(end, counts);
  return true;
}

void EventRing::note_spool(const SpoolTotals& totals) {
  auto* slot = control()->commits[slot_].counters;
  const auto note = [&](user_counter counter, std::uint64_t value) {
    totals_[counter] = value;
    __atomic_store_n(&slot[counter], value, __ATOMIC_RELEASE);
  };
  if (totals.spool_id > 0) note(USER_SPOOL_ID, totals.spool_id);
  note(USER_SPOOL_ACKNOWLEDGED, totals.acknowledged);
  note(USER_SPOOL_EVICTED, totals.evicted);
  note(USER_SPOOL_MISSING, totals.missing);
  if (totals.first_offset > 0) note(USER_FIRST_OFFSET, totals.first_offset);
  if (totals.last_offset > 0) note(USER_LAST_OFFSET, totals.last_offset);
}

bool EventRing::arm() {
  __atomic_store_n(&control()->armed, 1, __ATOMIC_SEQ_CST);
  // Pairs with the program's second look in bpf/emit.h.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (produced() == cursor_) return true;
  __atomic_store_n(&control()->armed, 0, __ATOMIC_SEQ_CST);
  return false;
}

// Records between the consumer position and `end`, discarded ones left out, whose header and place match.
template <typename Matches>
std::uint64_t EventRing::count(std::uint64_t end, Matches matches) const {
  std::uint64_t records = 0;
  std::uint64_t position = consumed();
  if (!data_ || !is_span(position, end)) return 0;
  while (position < end) {
    const std::uint32_t header = header_at(position);
    const std::uint64_t step = header_bytes + align8(length_of(header));
    if (step > end - position) break;
    if (!(header & BPF_RINGBUF_DISCARD_BIT) && matches(header, position)) records += 1;
    position += step;
  }
  return records;
}

std::uint64_t EventRing::backlog() const {
  return count(produced(), [](std::uint32_t, std::uint64_t) { return true; });
}

std::uint64_t EventRing::pending(std::uint64_t epoch, std::uint64_t end) const {
  return count(end - base(), [&](std::uint32_t header, std::uint64_t position) {
    // One that is not complete belongs to a later epoch, and its payload is still being written.
    if (header & BPF_RINGBUF_BUSY_BIT) return false;
    record_head head;
    std::memcpy(&head, data_ + (position & (ring_bytes_ - 1)) + header_bytes, sizeof(head));
    return head.epoch <= epoch;
  });
}

WakeUp::WakeUp(int ring_fd, std::function<void()> on_wake)
    : stop_(::eventfd(0, EFD_CLOEXEC)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!stop_ || !epoll_) fail("create", "the ring's epoll", errno);
  // Edge-triggered: a consumer position that lags would keep a level-triggered one ready for ever.
  epoll_event ring{.events = EPOLLIN | EPOLLET, .data = {.fd = ring_fd}};
  epoll_event stop{.events = EPOLLIN, .data = {.fd = stop_.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ring_fd, &ring) != 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &stop) != 0)
    fail("watch", "the ring buffer", errno);
  thread_ = std::thread([this, ring_fd, on_wake = std::move(on_wake)] {
    for (;;) {
      epoll_event ready[2];
      const int count = ::epoll_wait(epoll_.get(), ready, 2, -1);
      for (int i = 0; i < count; i++) {
        if (ready[i].data.fd != ring_fd) return;
        on_wake();
      }
      if (count < 0 && errno != EINTR) return;
    }
  });
}

WakeUp::~WakeUp() {
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof(one)) == sizeof(one)) thread_.join();
  else thread_.detach();
}

}  // namespace bpf2kafka
