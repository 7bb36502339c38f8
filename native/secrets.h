// Whether a text may hold a secret: the rules themselves are in user space's hands (src/enrich/secret-rules.ts).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace bpf2kafka {

// A perfect hash table of the four characters in a row, one of which is in every text that a rule matches
// (src/enrich/secret-triggers.ts).
class SecretTriggers {
 public:
  SecretTriggers() = default;
  // scheme: the three that begin an address; one in which there is no password is common, and needs no closer look.
  SecretTriggers(std::vector<std::int32_t> slots, std::int32_t multiplier, std::uint32_t shift, std::int32_t scheme)
      : slots_(std::move(slots)),
        taken_(slots_.size()),
        multiplier_(static_cast<std::uint32_t>(multiplier)),
        shift_(shift),
        scheme_(scheme) {
    for (std::size_t slot = 0; slot < slots_.size(); slot++) taken_[slot] = slots_[slot] != 0;
  }

  // Of the table: every hash falls into it.
  bool is_sound() const { return shift_ < 32 && slots_.size() >= 1ULL << (32 - shift_); }

  // May say yes for nothing; where it says no, no rule finds anything.
  bool may_be_in(std::string_view text) const {
    std::size_t at = 0;
    // Four of them at once: nearly always none is taken.
    for (; at + 8 <= text.size(); at += 4) {
      std::uint64_t eight;
      std::memcpy(&eight, text.data() + at, sizeof eight);
      eight = __builtin_bswap64(eight) | fold;
      const int taken = taken_[slot_of(eight >> 32)] | taken_[slot_of(eight >> 24)] | taken_[slot_of(eight >> 16)] |
                        taken_[slot_of(eight >> 8)];
      if (taken == 0) continue;
      for (std::size_t i = at; i < at + 4; i++)
        if (is_trigger(text, i)) return true;
    }
    for (; at + 4 <= text.size(); at++)
      if (is_trigger(text, at)) return true;
    return false;
  }

 private:
  // Makes capital letters small; whatever else it makes alike is told apart by the rules.
  static constexpr std::uint64_t fold = 0x2020202020202020ULL;

  std::uint32_t slot_of(std::uint64_t gram) const { return static_cast<std::uint32_t>(gram) * multiplier_ >> shift_; }

  // at: where the four begin.
  bool is_trigger(std::string_view text, std::size_t at) const {
    std::uint32_t four;
    std::memcpy(&four, text.data() + at, sizeof four);
    const std::uint32_t gram = __builtin_bswap32(four) | static_cast<std::uint32_t>(fold);
    if (slots_[slot_of(gram)] != static_cast<std::int32_t>(gram)) return false;
    return static_cast<std::int32_t>(gram) >> 8 != scheme_ || text.find('@', at + 3) != std::string_view::npos;
  }

  std::vector<std::int32_t> slots_;
  // Whether a slot is: a byte each, since the slots do not fit into the nearest cache.
  std::vector<std::uint8_t> taken_;
  std::uint32_t multiplier_ = 0;
  std::uint32_t shift_ = 0;
  std::int32_t scheme_ = 0;
};

}  // namespace bpf2kafka
