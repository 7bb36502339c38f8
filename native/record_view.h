// A record of the kernel, where it stands in memory that may say anything.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "record_program.h"

namespace bpf2kafka {

template <typename Number>
Number load(const std::uint8_t* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// at: where the struct begins that it is about, the record or an item in it.
inline std::uint64_t number_of(const Place& place, const std::uint8_t* at) {
  return load<std::uint64_t>(at + place.begin) >> place.shift & place.mask;
}

inline bool holds(const Condition& condition, const std::uint8_t* at) {
  const std::uint64_t value = number_of(condition.place, at);
  switch (condition.kind) {
    case Condition::Kind::equal:
      return value == condition.value;
    case Condition::Kind::unequal:
      return value != condition.value;
    default:
      return value == number_of(condition.other, at);
  }
}

class RecordView {
 public:
  // at: seen to have the program's `record_bytes` in memory.
  RecordView(std::span<const std::uint8_t> memory, std::size_t at) : memory_(memory), at_(memory.data() + at) {}

  const std::uint8_t* at() const { return at_; }

  // A record may say anything about where its strings are.
  std::optional<std::string_view> string(SpanPlace span, const std::uint8_t* at) const {
    const std::size_t begin = static_cast<std::size_t>(at - memory_.data()) + load<std::uint16_t>(at + span.offset);
    const std::size_t length = load<std::uint16_t>(at + span.length);
    if (begin > memory_.size() || memory_.size() - begin < length) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(memory_.data()) + begin, length);
  }
  std::optional<std::string_view> string(SpanPlace span) const { return string(span, at_); }

  // Good until the next call.
  std::string_view key(const Key& key) {
    if (key.numbers.empty()) return string(key.span).value_or(std::string_view());
    std::size_t used = 0;
    for (const Place& place : key.numbers) {
      std::memcpy(key_.data() + used, at_ + place.offset, place.bytes);
      used += place.bytes;
    }
    return {key_.data(), used};
  }

 private:
  const std::span<const std::uint8_t> memory_;
  const std::uint8_t* const at_;
  std::array<char, max_key_bytes> key_;
};

}  // namespace bpf2kafka
