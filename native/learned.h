// What user space knows about bytes that come again and again in records: Avro, ready to be copied.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bpf2kafka {

// The values of one or several fields. It owns nothing.
struct Learned {
  static constexpr std::size_t max_parts = 6;

  std::array<std::string_view, max_parts> parts{};
  std::uint32_t count = 0;  // of the parts
  // Names of those that should be there and could not be found out, as Avro strings one behind the other.
  std::string_view missing{};
  std::uint32_t missing_count = 0;
};

// A table within bounds that keeps what was set or asked for recently: at least the last half of its entries and bytes.
// Two generations instead of one list in the order of use: nearly every question is then a single look-up, nothing is
// freed one by one, and nothing is allocated for an entry.
class LearnedTable {
 public:
  LearnedTable(std::size_t most_entries, std::size_t most_bytes)
      : young_(most_entries / 2, most_bytes / 2), old_(most_entries / 2, most_bytes / 2) {}

  // Good until the next call.
  std::optional<Learned> find(std::string_view key);
  // A value that alone is over half of the bytes is not kept.
  void set(std::string_view key, const Learned& value);
  void clear();

 private:
  // Entries one behind the other in one piece of memory, and an index with open addressing.
  class Generation {
   public:
    Generation(std::size_t most_entries, std::size_t most_bytes);

    std::optional<Learned> find(std::string_view key, std::uint64_t hash) const;
    // False when it is full.
    bool add(std::string_view key, std::uint64_t hash, const Learned& value);
    bool can_ever_hold(std::string_view key, const Learned& value) const;
    void clear();
    void swap(Generation& other);

   private:
    struct Header {
      std::uint32_t key;  // bytes of each
      std::array<std::uint32_t, Learned::max_parts> parts;
      std::uint32_t missing;
      std::uint32_t count;
      std::uint32_t missing_count;
    };
    static constexpr std::uint64_t empty = 0;

    static std::size_t size_of(std::string_view key, const Learned& value);
    // Of the slots the one that has the key, or the empty one where it belongs.
    std::size_t slot_of(std::string_view key, std::uint64_t hash) const;
    Header header_at(std::size_t at) const;
    std::string_view view(std::size_t at, std::size_t bytes) const { return {entries_.data() + at, bytes}; }

    std::size_t most_entries_;
    std::size_t most_bytes_;
    std::vector<char> entries_;
    // 32 bits of the hash, and above them where the entry begins, plus one.
    std::vector<std::uint64_t> slots_;
    std::size_t used_ = 0;
  };

  void add(std::string_view key, std::uint64_t hash, const Learned& value);

  Generation young_;
  Generation old_;
};

}  // namespace bpf2kafka
