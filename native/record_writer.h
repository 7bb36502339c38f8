// Writes records of the kernel as Avro, many in one call.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "avro.h"
#include "record_program.h"

namespace bpf2kafka {

// What was written for items that come again and again: children of one process have the same ancestors, and those are
// half of a record. The same bytes and given numbers give the same Avro.
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

class RecordWriter {
 public:
  explicit RecordWriter(RecordProgram program) : program_(std::move(program)) { program_.check(); }

  enum class End {
    all,       // of the records
    declined,  // the next one is not whole, or a value in it needs care
    suspect,   // the next one may hold a secret
    unknown,   // the next one asks a table for what is not in it
  };
  struct Result {
    std::size_t written;
    End end;
    std::uint32_t table;  // unknown: which
  };
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  // Writes records one behind the other, up to the first one that it cannot write.
  // records: where each begins in `memory`. given: `given` numbers for each. ends: where in the output each ends.
  // cleared: the one of which it is known that it has no secrets.
  Result write(std::span<const std::uint8_t> memory, std::span<const std::uint32_t> records, std::span<const double> given,
               std::span<std::uint32_t> ends, std::size_t cleared = none);

  // Numbers that are given for each record.
  std::size_t given() const { return program_.given; }
  // Of the last `write`.
  const AvroOutput& output() const { return output_; }

 private:
  class Record;

  RecordProgram program_;
  AvroOutput output_;
  WrittenItems items_;
};

}  // namespace bpf2kafka
