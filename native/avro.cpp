#include "avro.h"

#include <charconv>

namespace bpf2kafka {

namespace {

constexpr std::uint32_t device_minor_bits = 20;  // include/linux/kdev_t.h

// Of the character that begins here, 0 when it is none. Source: The Unicode Standard, table 3-7.
std::size_t character_bytes(const unsigned char* at, std::size_t left) {
  const auto is_tail = [](unsigned char byte) { return (byte & 0xc0) == 0x80; };
  const unsigned char first = at[0];
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (left < bytes) return 0;
  // Neither longer than need be, nor half of a surrogate pair, nor behind U+10FFFF.
  const unsigned char lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < lowest || at[1] > highest) return 0;
  for (std::size_t i = 2; i < bytes; i++)
    if (!is_tail(at[i])) return 0;
  return bytes;
}

}  // namespace

std::uint8_t* put_decimal(std::uint8_t* out, std::uint64_t value) {
  char digits[20];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  return put_text(out, {digits, static_cast<std::size_t>(end - digits)});
}

std::uint8_t* put_device(std::uint8_t* out, std::uint32_t device) {
  char digits[21];
  char* end = std::to_chars(digits, digits + sizeof digits, device >> device_minor_bits).ptr;
  *end++ = ':';
  end = std::to_chars(end, digits + sizeof digits, device & ((1U << device_minor_bits) - 1)).ptr;
  return put_text(out, {digits, static_cast<std::size_t>(end - digits)});
}

bool is_utf8(std::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* end = at + bytes.size();
  while (at < end) {
    // Nearly everything is ASCII, and is passed over eight at a time.
    std::uint64_t eight;
    if (end - at >= 8 && (std::memcpy(&eight, at, 8), (eight & 0x8080808080808080ULL) == 0)) {
      at += 8;
      continue;
    }
    const std::size_t character = character_bytes(at, static_cast<std::size_t>(end - at));
    if (character == 0) return false;
    at += character;
  }
  return true;
}

}  // namespace bpf2kafka
