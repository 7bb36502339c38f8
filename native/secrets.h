// Whether a text may hold a secret: the rules themselves are in user space's hands (src/enrich/secret-rules.ts).
#pragma once

#include <cstdint>
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
        taken_(slots_.size() / 64 + 1),
        multiplier_(static_cast<std::uint32_t>(multiplier)),
        shift_(shift),
        scheme_(scheme) {
    for (std::size_t slot = 0; slot < slots_.size(); slot++)
      if (slots_[slot] != 0) taken_[slot / 64] |= 1ULL << slot % 64;
  }

  // Of the table: every hash falls into it.
  bool is_sound() const { return shift_ < 32 && slots_.size() >= 1ULL << (32 - shift_); }

  // May say yes for nothing; where it says no, no rule finds anything.
  bool may_be_in(std::string_view text) const {
    std::uint32_t last = 0;
    for (std::size_t at = 0; at < text.size(); at++) {
      // Makes capital letters small; whatever else it makes alike is told apart by the rules.
      last = last << 8 | static_cast<unsigned char>(text[at]) | 0x20;
      const std::uint32_t slot = last * multiplier_ >> shift_;
      // A bit each fits into the nearest cache, the slots do not.
      if ((taken_[slot / 64] >> slot % 64 & 1) == 0) continue;
      const auto gram = static_cast<std::int32_t>(last);
      if (slots_[slot] != gram) continue;
      if (gram >> 8 != scheme_ || text.find('@', at) != std::string_view::npos) return true;
    }
    return false;
  }

 private:
  std::vector<std::int32_t> slots_;
  std::vector<std::uint64_t> taken_;
  std::uint32_t multiplier_ = 0;
  std::uint32_t shift_ = 0;
  std::int32_t scheme_ = 0;
};

}  // namespace bpf2kafka
