// libFuzzer target: the ring's reader over a ring whose positions, headers and commits are forged. `npm run fuzz` builds
// and runs it, with sanitizers. The mappings lie between pages that cannot be touched, so that a read outside ends it.
#include "event_ring.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "fuzzed_input.h"

using namespace bpf2kafka;

namespace {

constexpr std::size_t page = 4096;
constexpr std::uint64_t header_bytes = BPF_RINGBUF_HDR_SZ;
std::uint32_t ring_bytes;  // of the one that is open
bool discards;             // it has records that were given up

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

struct File {
  explicit File(std::size_t bytes) : fd(::memfd_create("forged", MFD_CLOEXEC)) {
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) std::abort();
  }
  void write(std::size_t at, const void* from, std::size_t bytes) const {
    if (::pwrite(fd, from, bytes, static_cast<off_t>(at)) != static_cast<ssize_t>(bytes)) std::abort();
  }
  int fd;
};

// The file of a ring: consumer page, producer page, and the data twice.
struct ForgedRing : File {
  ForgedRing() : File(2 * page + 2 * ring_bytes) {}

  void consumer(std::uint64_t position) const { write(0, &position, sizeof(position)); }
  void producer(std::uint64_t position) const { write(page, &position, sizeof(position)); }
  void word(std::uint64_t position, std::uint32_t value) const {
    const std::size_t at = position & (ring_bytes - 1) & ~std::uint64_t{3};
    write(2 * page + at, &value, sizeof(value));
    write(2 * page + ring_bytes + at, &value, sizeof(value));
  }
};

// A chain of records from a position on, as the kernel would lay it, with a word here and there that it would not write.
std::uint64_t lay_records(FuzzedInput& input, const ForgedRing& ring, std::uint64_t position) {
  const std::uint64_t begin = position;
  for (int records = input.below(24); records > 0; records--) {
    const std::uint32_t bytes = input.below(200);
    const std::uint64_t step = header_bytes + ((bytes + 7) & ~7U);
    if (position + step - begin > ring_bytes) break;
    std::uint32_t header = bytes;
    if (input.one_in(16)) header |= BPF_RINGBUF_BUSY_BIT;
    if (input.one_in(16)) header = input.u32();
    if (input.one_in(4)) header |= BPF_RINGBUF_DISCARD_BIT;
    if (!discards) header &= ~BPF_RINGBUF_DISCARD_BIT;
    ring.word(position, header);
    ring.word(position + 4, 0);
    for (int word = 0; word < 4; word++) ring.word(position + header_bytes + 4 * word, input.below(8));
    position += step;
  }
  return position;
}

// Reads until nothing more comes, into buffers that fit to the byte, and looks at what comes.
void read_all(FuzzedInput& input, EventRing& ring) {
  for (int reads = 0; reads < 64; reads++) {
    std::vector<std::uint8_t> buffer(input.one_in(4) ? input.below(512) : 2 * ring_bytes);
    const std::uint64_t corrupt = ring.totals()[USER_CORRUPT];
    const std::uint64_t corrupt_bytes = ring.totals()[USER_CORRUPT_BYTES];
    const std::uint64_t from = ring.read(nullptr, 0, 0).position;
    require(ring.totals()[USER_CORRUPT] - corrupt <= 1, "one end of the ring is skipped once");
    ReadResult result;
    try {
      result = ring.read(buffer.data(), buffer.size(), 1 + input.below(8));
    } catch (const Error& error) {
      require(error.number == ENOBUFS && buffer.size() < 2 * ring_bytes, "only a small buffer is an error");
      continue;
    }
    require(result.bytes <= buffer.size(), "a read keeps to its buffer");
    std::size_t at = 0;
    for (std::uint32_t record = 0; record < result.records; record++) {
      std::uint32_t bytes;
      require(at + header_bytes <= result.bytes, "every record has its length");
      std::memcpy(&bytes, buffer.data() + at, sizeof(bytes));
      at += header_bytes + ((std::uint64_t{bytes} + 7) & ~std::uint64_t{7});
    }
    require(at == result.bytes, "the records fill what was used");
    const std::uint64_t skipped = result.position - from - result.bytes;
    const std::uint64_t counted = ring.totals()[USER_CORRUPT_BYTES] - corrupt_bytes;
    require(discards || skipped <= counted, "every byte is a record's or counted as corrupt");
    if (result.records == 0 && ring.totals()[USER_CORRUPT] == corrupt) return;
  }
}

}  // namespace

// In the place of libbpf's: there is no kernel here.
extern "C" int bpf_obj_get_info_by_fd(int, void* info, __u32*) {
  static_cast<bpf_map_info*>(info)->max_entries = ring_bytes;
  return 0;
}

// In the place of the C library's, for what the reader maps (--wrap): with a page on both sides that cannot be touched.
extern "C" void* __real_mmap(void*, std::size_t, int, int, int, off_t);
extern "C" int __real_munmap(void*, std::size_t);
extern "C" void* __wrap_mmap(void*, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  const std::size_t whole = (bytes + page - 1) / page * page;
  auto* room = static_cast<char*>(__real_mmap(nullptr, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (room == MAP_FAILED) return room;
  return __real_mmap(room + page, bytes, protection, flags | MAP_FIXED, fd, offset);
}
extern "C" int __wrap_munmap(void* address, std::size_t bytes) {
  const std::size_t whole = (bytes + page - 1) / page * page;
  return __real_munmap(static_cast<char*>(address) - page, whole + 2 * page);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedInput input(data, size);
  ring_bytes = page << input.below(3);
  discards = input.one_in(2);
  const ForgedRing forged;
  const File control(page);

  // Where a ring stands after any number of bytes, or nowhere that one could stand.
  const std::uint64_t begin = input.one_in(8) ? input.u64() : input.u32() & ~7U;
  std::uint64_t end = lay_records(input, forged, begin);
  if (input.one_in(8)) end = input.u64();
  forged.consumer(begin);
  forged.producer(end);
  ring_control known{};
  known.commits[input.below(2)].position = input.one_in(8) ? input.u64() : begin;
  control.write(0, &known, sizeof(known));

  EventRing ring{Descriptor(forged.fd), Descriptor(control.fd)};
  ring.resume();
  std::uint64_t committed = ring.consumer_position();
  for (int steps = 0; steps < 16 && !input.empty(); steps++) {
    switch (input.below(6)) {
      case 0: end = lay_records(input, forged, end & ~std::uint64_t{7}); forged.producer(end); break;
      case 1: end = input.u64(); forged.producer(end); break;
      case 2: ring.arm(); break;
      case 3: require(ring.backlog() <= ring_bytes / header_bytes, "a ring has room for no more records"); break;
      case 4: require(ring.pending(input.u64(), input.u64()) <= ring_bytes / header_bytes, "so of one epoch"); break;
      default: {
        read_all(input, ring);
        const ReadResult none = ring.read(nullptr, 0, 0);
        ring.commit(none.position, {.acknowledged = 1});
        committed = none.position;
      }
    }
    require(ring.consumer_position() == committed, "only a commit moves the consumer position");
  }
  return 0;
}
