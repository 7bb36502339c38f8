#include "learned.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace bpf2kafka {

namespace {

std::uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>()(key); }

}  // namespace

void Entry::write(std::string_view key, const Learned& value, std::vector<char>& bytes) {
  Header header{.ends = {}, .count = value.count, .missing_count = value.missing_count};
  bytes.resize(sizeof header);
  std::size_t field = 0;
  const auto append = [&](std::string_view text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    header.ends[field++] = static_cast<std::uint32_t>(bytes.size() - sizeof header);
  };
  append(key);
  for (const std::string_view part : value.parts) append(part);
  append(value.missing);
  std::copy_n(reinterpret_cast<const char*>(&header), sizeof header, bytes.begin());
  bytes.resize(aligned(bytes.size()));
}

Entry LearnedTable::find(std::string_view key) {
  const std::uint64_t hash = hash_of(key);
  if (const Entry found = young_.find(key, hash)) return found;
  const Entry past = old_.find(key, hash);
  if (!past) return past;
  // It is copied before the generation that it stands in may be emptied for it.
  added_.assign(past.bytes().begin(), past.bytes().end());
  add(Entry(added_.data()), hash);
  return young_.find(key, hash);
}

void LearnedTable::set(std::string_view key, const Learned& value) {
  Entry::write(key, value, added_);
  const Entry entry(added_.data());
  if (young_.can_ever_hold(entry)) add(entry, hash_of(key));
}

void LearnedTable::clear() {
  young_.clear();
  old_.clear();
}

void LearnedTable::add(Entry entry, std::uint64_t hash) {
  if (young_.add(entry, hash)) return;
  young_.swap(old_);
  young_.clear();
  young_.add(entry, hash);
}

LearnedTable::Generation::Generation(std::size_t most_entries, std::size_t most_bytes)
    : most_entries_(std::max<std::size_t>(most_entries, 1)),
      most_bytes_(most_bytes),
      // At most half full.
      slots_(std::bit_ceil(2 * most_entries_), empty) {}

Entry LearnedTable::Generation::find(std::string_view key, std::uint64_t hash) const {
  const std::uint64_t slot = slots_[slot_of(key, hash)];
  return slot == empty ? Entry() : entry_of(slot);
}

bool LearnedTable::Generation::add(Entry entry, std::uint64_t hash) {
  const std::size_t slot = slot_of(entry.key(), hash);
  const bool is_new = slots_[slot] == empty;
  const std::size_t begin = entries_.size();
  const std::string_view bytes = entry.bytes();
  // What was there under the key stays, and counts, until the generation is emptied.
  if (begin + bytes.size() > most_bytes_ || (is_new && used_ == most_entries_)) return false;
  entries_.insert(entries_.end(), bytes.begin(), bytes.end());
  slots_[slot] = static_cast<std::uint64_t>(begin + 1) << 32 | static_cast<std::uint32_t>(hash);
  if (is_new) used_++;
  return true;
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

std::size_t LearnedTable::Generation::slot_of(std::string_view key, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::uint64_t found = slots_[slot];
    if (found == empty) return slot;
    if (static_cast<std::uint32_t>(found) != static_cast<std::uint32_t>(hash)) continue;
    if (entry_of(found).key() == key) return slot;
  }
}

}  // namespace bpf2kafka
