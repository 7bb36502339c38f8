// What was written for items that come again and again: children of one process have the same ancestors, and those are
// half of a record. The same bytes and given numbers give the same Avro.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bpf2kafka {

class WrittenItems {
 public:
  // Empty when nothing is kept for them; the Avro of items never is.
  std::string_view find(std::string_view items, std::span<const double> given) const;
  // In place of what has been kept there.
  void keep(std::string_view items, std::span<const double> given, std::string_view avro);

 private:
  struct Entry {
    std::string items;
    std::vector<double> given;
    std::string avro;
  };
  // The parents that are busy at one time.
  static constexpr std::size_t places = 512;
  static std::size_t place_of(std::string_view items);

  std::array<Entry, places> entries_;
};

}  // namespace bpf2kafka
