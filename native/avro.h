// Avro's binary encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace bpf2kafka {

// Largest long that avsc, which reads and writes the rest, knows without a loss of precision.
constexpr std::uint64_t largest_long = (1ULL << 53) - 2;
constexpr std::uint64_t largest_int = (1ULL << 31) - 1;

bool is_utf8(std::string_view bytes);

// Where Avro is written, one value behind the other.
class AvroOutput {
 public:
  std::size_t size() const { return used_; }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::string_view from(std::size_t begin) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, used_ - begin};
  }
  // Gives up what was written behind this size.
  void cut(std::size_t size) { used_ = size; }

  void byte(std::uint8_t value) {
    *room(1) = value;
    used_++;
  }

  void copy(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    used_ += bytes.size();
  }

  // Not negative: zigzag, seven bits a byte, lowest first.
  void number(std::uint64_t value) {
    std::uint8_t* at = room(10);
    const std::uint8_t* begin = at;
    std::uint64_t rest = value << 1;
    for (; rest > 0x7f; rest >>= 7) *at++ = static_cast<std::uint8_t>(rest | 0x80);
    *at++ = static_cast<std::uint8_t>(rest);
    used_ += static_cast<std::size_t>(at - begin);
  }

  void text(std::string_view bytes) {
    number(bytes.size());
    copy(bytes);
  }

  // At least so many bytes behind what is written; `wrote` says how many became of them.
  std::uint8_t* room(std::size_t bytes) {
    if (bytes_.size() - used_ < bytes) bytes_.resize((bytes_.size() + bytes) * 2);
    return bytes_.data() + used_;
  }
  void wrote(std::size_t bytes) { used_ += bytes; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t used_ = 0;
};

}  // namespace bpf2kafka
