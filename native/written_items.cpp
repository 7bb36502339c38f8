#include "written_items.h"

#include <algorithm>
#include <functional>

namespace bpf2kafka {

namespace {

// Of the first items, by which nearly all are told apart: the nearest ancestor has no other ancestors than its own.
constexpr std::size_t telling_bytes = 64;

}  // namespace

std::string_view WrittenItems::find(std::string_view items, std::span<const double> given) const {
  const Entry& entry = entries_[place_of(items)];
  if (entry.items != items || !std::equal(given.begin(), given.end(), entry.given.begin(), entry.given.end())) return {};
  return entry.avro;
}

void WrittenItems::keep(std::string_view items, std::span<const double> given, std::string_view avro) {
  entries_[place_of(items)] = {std::string(items), {given.begin(), given.end()}, std::string(avro)};
}

std::size_t WrittenItems::place_of(std::string_view items) {
  return std::hash<std::string_view>()(items.substr(0, telling_bytes)) % places;
}

}  // namespace bpf2kafka
