// Writes records of the kernel as Avro, many in one call.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "avro.h"
#include "record_program.h"
#include "record_view.h"
#include "written_items.h"

namespace bpf2kafka {

class RecordWriter {
 public:
  explicit RecordWriter(RecordProgram program);

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

  // Begins a batch.
  void clear() { output_.clear(); }

  // Writes records behind what has been written, up to the first one that it cannot write.
  // records: where each begins in `memory`. given: `given` numbers for each. ends, timestamps: where in the output each ends,
  // and when it happened (milliseconds since 1970). cleared: the one of which it is known that it has no secrets; the same
  // texts are not suspect again.
  struct Records {
    std::span<const std::uint8_t> memory;
    std::span<const std::uint32_t> records;
    std::span<const double> given;
    std::span<std::uint32_t> ends;
    std::span<double> timestamps;
  };
  Result write(const Records& batch, std::size_t cleared = none);

  // Writes bytes that are known.
  void add(std::string_view bytes) { output_.end_at(put_bytes(output_.room(output_.end(), bytes.size()), bytes)); }

  // Numbers that are given for each record.
  std::size_t given() const { return program_.given; }
  // The batch.
  const AvroOutput& output() const { return output_; }

 private:
  class Record;

  // How the next record ends: whether it is one that can be written at all.
  End judge(RecordView& record, bool is_cleared);

  RecordProgram program_;
  // The suspect texts that were cleared, for each text of `harmless`: what is a secret differs from one to the other.
  std::vector<LearnedTable> cleared_;
  AvroOutput output_;
  WrittenItems items_;
};

}  // namespace bpf2kafka
