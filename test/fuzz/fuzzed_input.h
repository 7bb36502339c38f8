// Numbers out of the bytes that the fuzzer gives; zeros when they are used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

class FuzzedInput {
 public:
  FuzzedInput(const std::uint8_t* data, std::size_t bytes) : data_(data), left_(bytes) {}

  bool empty() const { return left_ == 0; }
  std::uint64_t u64() { return take<std::uint64_t>(); }
  std::uint32_t u32() { return take<std::uint32_t>(); }
  // From 0 on, and less than `bound`.
  std::uint32_t below(std::uint32_t bound) { return take<std::uint16_t>() % bound; }
  bool one_in(std::uint32_t times) { return take<std::uint8_t>() % times == 1; }

 private:
  template <typename Number>
  Number take() {
    Number number = 0;
    const std::size_t bytes = left_ < sizeof(number) ? left_ : sizeof(number);
    std::memcpy(&number, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
    return number;
  }

  const std::uint8_t* data_;
  std::size_t left_;
};
