// What user space knows about bytes that come again and again in records: Avro, ready to be copied.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bpf2kafka {

// The values of one or several fields, as a table is told them. It owns nothing.
struct Learned {
  static constexpr std::size_t max_parts = 6;

  std::array<std::string_view, max_parts> parts{};
  std::uint32_t count = 0;  // of the parts
  // Names of those that should be there and could not be found out, as Avro strings one behind the other.
  std::string_view missing{};
  std::uint32_t missing_count = 0;
};

// The same where it stands in a table, behind its key. Good until the table is told something, or asked again.
class Entry {
 public:
  Entry() = default;
  explicit Entry(const char* at) : at_(at) {}

  explicit operator bool() const { return at_ != nullptr; }

  std::string_view key() const { return from(0, header().ends[0]); }
  std::string_view part(std::size_t index) const { return field(index + 1); }
  std::string_view missing() const { return field(Learned::max_parts + 1); }
  std::uint32_t count() const { return header().count; }
  std::uint32_t missing_count() const { return header().missing_count; }
  // All of it, with what lies between it and the next one.
  std::string_view bytes() const { return {at_, aligned(sizeof(Header) + header().ends.back())}; }

  // In place of what is in `bytes`.
  static void write(std::string_view key, const Learned& value, std::vector<char>& bytes);

 private:
  struct Header {
    // Where the key ends, the parts and the names, in the bytes that follow.
    std::array<std::uint32_t, Learned::max_parts + 2> ends;
    std::uint32_t count;
    std::uint32_t missing_count;
  };

  static constexpr std::size_t aligned(std::size_t bytes) { return (bytes + alignof(Header) - 1) & ~(alignof(Header) - 1); }

  const Header& header() const { return *reinterpret_cast<const Header*>(at_); }
  std::string_view field(std::size_t index) const { return from(header().ends[index - 1], header().ends[index]); }
  std::string_view from(std::uint32_t begin, std::uint32_t end) const { return {at_ + sizeof(Header) + begin, end - begin}; }

  const char* at_ = nullptr;
};

// A table within bounds that keeps what was set or asked for recently: at least the last half of its entries and bytes.
// Two generations instead of one list in the order of use: nearly every question is then a single look-up, nothing is
// freed one by one, and nothing is allocated for an entry.
class LearnedTable {
 public:
  LearnedTable(std::size_t most_entries, std::size_t most_bytes)
      : young_(most_entries / 2, most_bytes / 2), old_(most_entries / 2, most_bytes / 2) {}

  // False when it has none.
  Entry find(std::string_view key);
  // A value that alone is over half of the bytes is not kept.
  void set(std::string_view key, const Learned& value);
  void clear();

 private:
  // Entries one behind the other in one piece of memory, and an index with open addressing.
  class Generation {
   public:
    Generation(std::size_t most_entries, std::size_t most_bytes);

    Entry find(std::string_view key, std::uint64_t hash) const;
    // False when it is full.
    bool add(Entry entry, std::uint64_t hash);
    bool can_ever_hold(Entry entry) const { return entry.bytes().size() <= most_bytes_; }
    void clear();
    void swap(Generation& other);

   private:
    static constexpr std::uint64_t empty = 0;

    // Of the slots the one that has the key, or the empty one where it belongs.
    std::size_t slot_of(std::string_view key, std::uint64_t hash) const;
    Entry entry_of(std::uint64_t slot) const { return Entry(entries_.data() + (slot >> 32) - 1); }

    std::size_t most_entries_;
    std::size_t most_bytes_;
    std::vector<char> entries_;
    // 32 bits of the hash, and above them where the entry begins, plus one.
    std::vector<std::uint64_t> slots_;
    std::size_t used_ = 0;
  };

  void add(Entry entry, std::uint64_t hash);

  Generation young_;
  Generation old_;
  // The entry that is being added.
  std::vector<char> added_;
};

}  // namespace bpf2kafka
