#include "learned.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <utility>

namespace bpf2kafka {

namespace {

std::uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>()(key); }

}  // namespace

std::optional<Learned> LearnedTable::find(std::string_view key) {
  const std::uint64_t hash = hash_of(key);
  if (auto found = young_.find(key, hash)) return found;
  const auto past = old_.find(key, hash);
  if (!past) return std::nullopt;
  // It is copied before the generation that it stands in may be emptied for it.
  std::vector<char> bytes;
  Learned copy = *past;
  const auto take = [&](std::string_view& view) { bytes.insert(bytes.end(), view.begin(), view.end()); };
  for (auto& part : copy.parts) take(part);
  take(copy.missing);
  std::size_t at = 0;
  const auto place = [&](std::string_view& view) { view = {bytes.data() + std::exchange(at, at + view.size()), view.size()}; };
  for (auto& part : copy.parts) place(part);
  place(copy.missing);
  add(key, hash, copy);
  return young_.find(key, hash);
}

void LearnedTable::set(std::string_view key, const Learned& value) {
  if (young_.can_ever_hold(key, value)) add(key, hash_of(key), value);
}

void LearnedTable::clear() {
  young_.clear();
  old_.clear();
}

void LearnedTable::add(std::string_view key, std::uint64_t hash, const Learned& value) {
  if (young_.add(key, hash, value)) return;
  young_.swap(old_);
  young_.clear();
  young_.add(key, hash, value);
}

LearnedTable::Generation::Generation(std::size_t most_entries, std::size_t most_bytes)
    : most_entries_(std::max<std::size_t>(most_entries, 1)),
      most_bytes_(most_bytes),
      // At most half full.
      slots_(std::bit_ceil(2 * most_entries_), empty) {}

std::optional<Learned> LearnedTable::Generation::find(std::string_view key, std::uint64_t hash) const {
  const std::uint64_t slot = slots_[slot_of(key, hash)];
  if (slot == empty) return std::nullopt;
  const std::size_t begin = (slot >> 32) - 1;
  const Header header = header_at(begin);
  std::size_t at = begin + sizeof header + header.key;
  const auto next = [&](std::size_t bytes) { return view(std::exchange(at, at + bytes), bytes); };
  Learned learned{.count = header.count, .missing_count = header.missing_count};
  for (std::size_t i = 0; i < header.count; i++) learned.parts[i] = next(header.parts[i]);
  learned.missing = next(header.missing);
  return learned;
}

bool LearnedTable::Generation::add(std::string_view key, std::uint64_t hash, const Learned& value) {
  const std::size_t slot = slot_of(key, hash);
  const bool is_new = slots_[slot] == empty;
  const std::size_t begin = entries_.size();
  // What was there under the key stays, and counts, until the generation is emptied.
  if (begin + size_of(key, value) > most_bytes_ || (is_new && used_ == most_entries_)) return false;
  Header header{.key = static_cast<std::uint32_t>(key.size()),
                .parts = {},
                .missing = static_cast<std::uint32_t>(value.missing.size()),
                .count = value.count,
                .missing_count = value.missing_count};
  for (std::size_t i = 0; i < value.count; i++) header.parts[i] = static_cast<std::uint32_t>(value.parts[i].size());
  const auto* bytes = reinterpret_cast<const char*>(&header);
  entries_.insert(entries_.end(), bytes, bytes + sizeof header);
  entries_.insert(entries_.end(), key.begin(), key.end());
  for (std::size_t i = 0; i < value.count; i++) entries_.insert(entries_.end(), value.parts[i].begin(), value.parts[i].end());
  entries_.insert(entries_.end(), value.missing.begin(), value.missing.end());
  slots_[slot] = static_cast<std::uint64_t>(begin + 1) << 32 | static_cast<std::uint32_t>(hash);
  if (is_new) used_++;
  return true;
}

bool LearnedTable::Generation::can_ever_hold(std::string_view key, const Learned& value) const {
  return size_of(key, value) <= most_bytes_;
}

void LearnedTable::Generation::clear() {
  entries_.clear();
  if (used_ > 0) std::fill(slots_.begin(), slots_.end(), empty);
  used_ = 0;
}

void LearnedTable::Generation::swap(Generation& other) {
  std::swap(entries_, other.entries_);
  std::swap(slots_, other.slots_);
  std::swap(used_, other.used_);
}

std::size_t LearnedTable::Generation::size_of(std::string_view key, const Learned& value) {
  std::size_t bytes = sizeof(Header) + key.size() + value.missing.size();
  for (std::size_t i = 0; i < value.count; i++) bytes += value.parts[i].size();
  return bytes;
}

std::size_t LearnedTable::Generation::slot_of(std::string_view key, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::uint64_t found = slots_[slot];
    if (found == empty) return slot;
    if (static_cast<std::uint32_t>(found) != static_cast<std::uint32_t>(hash)) continue;
    const std::size_t begin = (found >> 32) - 1;
    if (view(begin + sizeof(Header), header_at(begin).key) == key) return slot;
  }
}

LearnedTable::Generation::Header LearnedTable::Generation::header_at(std::size_t at) const {
  Header header;
  std::memcpy(&header, entries_.data() + at, sizeof header);
  return header;
}

}  // namespace bpf2kafka
