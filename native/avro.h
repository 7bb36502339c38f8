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

// Each of these writes at `out`, where there must be room for `most_bytes`, or for a text and so many besides, and returns
// where it ends.
constexpr std::size_t most_bytes = 24;

// Not negative: zigzag, seven bits a byte, lowest first.
inline std::uint8_t* put_number(std::uint8_t* out, std::uint64_t value) {
  std::uint64_t rest = value << 1;
  for (; rest > 0x7f; rest >>= 7) *out++ = static_cast<std::uint8_t>(rest | 0x80);
  *out++ = static_cast<std::uint8_t>(rest);
  return out;
}

inline std::uint8_t* put_byte(std::uint8_t* out, std::uint8_t value) {
  *out = value;
  return out + 1;
}

inline std::uint8_t* put_bytes(std::uint8_t* out, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

inline std::uint8_t* put_text(std::uint8_t* out, std::string_view text) { return put_bytes(put_number(out, text.size()), text); }

// A text of digits.
std::uint8_t* put_decimal(std::uint8_t* out, std::uint64_t value);
// A text of MAJOR:MINOR. @param device in the kernel's own encoding (include/linux/kdev_t.h)
std::uint8_t* put_device(std::uint8_t* out, std::uint32_t device);

// Eight digits of a text whose length has been written.
inline std::uint8_t* put_hex(std::uint8_t* out, std::uint32_t value) {
  // All eight at once, a byte each: the bytes apart, highest first, then their halves, then the characters.
  std::uint64_t digits = __builtin_bswap32(value);
  digits = (digits | digits << 16) & 0x0000ffff0000ffffULL;
  digits = (digits | digits << 8) & 0x00ff00ff00ff00ffULL;
  digits = (digits >> 4 | digits << 8) & 0x0f0f0f0f0f0f0f0fULL;
  const std::uint64_t is_letter = (digits + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
  digits += 0x3030303030303030ULL + is_letter * ('a' - '0' - 10);
  std::memcpy(out, &digits, sizeof digits);
  return out + sizeof digits;
}

// Memory that grows while it is written.
class AvroOutput {
 public:
  std::size_t size() const { return used_; }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::string_view between(std::size_t begin, std::size_t end) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, end - begin};
  }

  void clear() { used_ = 0; }
  std::uint8_t* end() { return bytes_.data() + used_; }
  // What stands before `out` is written.
  void end_at(const std::uint8_t* out) { used_ = offset_of(out); }
  std::size_t offset_of(const std::uint8_t* out) const { return static_cast<std::size_t>(out - bytes_.data()); }

  // Sees to so many bytes of room at `out`, which is moved with all that stands before it.
  std::uint8_t* room(std::uint8_t* out, std::size_t bytes) {
    const std::size_t used = offset_of(out);
    if (bytes_.size() - used < bytes) bytes_.resize((used + bytes) * 2);
    return bytes_.data() + used;
  }

 private:
  // Never without memory: no place in it is null.
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(1);
  std::size_t used_ = 0;
};

}  // namespace bpf2kafka
