// libFuzzer target: the writer of records over memory that says anything, with programs of any steps. `npm run fuzz` builds
// and runs it, with sanitizers. The memory has no byte more than it says, so that a read outside ends it.
#include "record_writer.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"
#include "fuzzed_input.h"

using namespace bpf2kafka;

namespace {

constexpr std::uint32_t record_bytes = 48;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Mostly inside of the record, up to its end: a program with one place outside is refused as a whole.
std::uint32_t offset(FuzzedInput& input, std::uint32_t bytes) {
  return input.one_in(64) ? input.u32() : input.below(record_bytes + 1 - bytes);
}

Place place(FuzzedInput& input) {
  const std::uint32_t bytes = input.one_in(64) ? input.below(12) : 1U << input.below(4);
  return {.offset = offset(input, bytes), .bytes = static_cast<std::uint8_t>(bytes)};
}

SpanPlace span(FuzzedInput& input) { return {offset(input, 2), offset(input, 2)}; }

Condition condition(FuzzedInput& input) {
  return {.kind = static_cast<Condition::Kind>(input.below(3)),
          .place = place(input),
          .value = input.below(4),
          .other = place(input)};
}

void add_steps(RecordProgram& program, FuzzedInput& input, int most, int depth) {
  for (int steps = static_cast<int>(input.below(static_cast<std::uint32_t>(most))); steps > 0; steps--) {
    Step step{.kind = static_cast<Step::Kind>(input.below(18))};
    step.index = static_cast<std::uint8_t>(input.below(3));
    step.part = static_cast<std::uint8_t>(input.below(input.one_in(64) ? 9 : 2));
    step.tables = static_cast<std::uint8_t>(input.below(4));
    step.is_int = input.one_in(2);
    step.before = {0, input.below(static_cast<std::uint32_t>(program.bytes.size()))};
    step.place = place(input);
    if (step.kind == Step::Kind::hex) step.place.offset = offset(input, 4);
    if (step.kind == Step::Kind::name) step.place.offset = offset(input, 16);
    step.span = span(input);
    step.names = {0, static_cast<std::uint32_t>(program.bytes.size())};
    step.count = input.one_in(64) ? 0 : record_bytes;
    if (step.kind == Step::Kind::when) {
      step.index = static_cast<std::uint8_t>(program.conditions.size());
      program.conditions.push_back(condition(input));
    }
    const std::size_t at = program.steps.size();
    program.steps.push_back(step);
    if (step.kind >= Step::Kind::when && depth < 3) add_steps(program, input, 4, depth + 1);
    program.steps[at].end = static_cast<std::uint32_t>(program.steps.size());
  }
}

// Any text of four zeros, which are common here, may be one.
SecretTriggers any_secrets() {
  std::vector<std::int32_t> slots(8192);
  const std::int32_t zeros = 0x20202020;
  slots[static_cast<std::uint32_t>(zeros) * 3U >> 19] = zeros;
  return {slots, 3, 19, 0};
}

RecordProgram any_program(FuzzedInput& input) {
  RecordProgram program;
  program.bytes = "the frame, in front of whatever it is that is written";
  program.secrets = any_secrets();
  for (int i = 0; i < 2; i++) {
    const auto table = std::make_shared<LearnedTable>(16, 4096);
    table->set("", {.parts = {"known"}, .count = 1});
    program.tables.push_back({table, {.numbers = {}, .span = span(input)}});
  }
  program.kept = program.tables[0].learned;
  program.kept_key = {.numbers = {place(input)}};
  program.kept_names = {"a", "b"};
  program.record_bytes = record_bytes;
  program.given = 2;
  program.timestamp = {place(input), input.below(input.one_in(64) ? 4 : 2)};
  for (std::uint32_t conditions = input.below(3); conditions > 0; conditions--) program.whole.push_back(condition(input));
  for (std::uint32_t texts = input.below(3); texts > 0; texts--) program.harmless.push_back(span(input));
  add_steps(program, input, 8, 0);
  return program;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  FuzzedInput input(data, bytes);
  std::unique_ptr<RecordWriter> writer;
  try {
    writer = std::make_unique<RecordWriter>(any_program(input));
  } catch (const Error&) {
    return 0;
  }
  const std::size_t size = input.below(300);
  const std::unique_ptr<std::uint8_t[]> memory(new std::uint8_t[size]);
  for (std::size_t i = 0; i < size; i++) memory[i] = static_cast<std::uint8_t>(input.one_in(2) ? input.below(256) : 0);
  std::vector<std::uint32_t> records(1 + input.below(4));
  // At the end of the memory there is nothing behind a record.
  for (auto& record : records)
    record = size >= record_bytes && input.one_in(2) ? static_cast<std::uint32_t>(size) - record_bytes : input.below(300);
  const std::vector<double> given(2 * records.size(), 1e6);
  std::vector<std::uint32_t> ends(records.size());
  std::vector<double> timestamps(records.size());
  // What is written so far, which stays.
  std::string batch;
  std::size_t cleared = RecordWriter::none;
  for (std::size_t begin = 0; begin < records.size();) {
    if (input.one_in(8)) {
      writer->clear();
      batch.clear();
    }
    const std::size_t left = records.size() - begin;
    const auto result = writer->write({.memory = {memory.get(), size},
                                       .records = std::span(records).subspan(begin),
                                       .given = std::span(given).subspan(2 * begin),
                                       .ends = std::span(ends).subspan(begin),
                                       .timestamps = std::span(timestamps).subspan(begin)},
                                      cleared == begin ? 0 : RecordWriter::none);
    require(result.written <= left, "no more records are written than there are");
    require((result.written == left) == (result.end == RecordWriter::End::all), "it ends for a reason");
    std::size_t end = batch.size();
    for (const std::size_t behind = begin + result.written; begin < behind; begin++) {
      require(ends[begin] >= end, "a record ends behind the one before");
      require(timestamps[begin] >= given[0] / 1000, "nothing happens before the boot");
      end = ends[begin];
    }
    require(writer->output().size() == end, "it ends where it says");
    require(writer->output().between(0, batch.size()) == batch, "what was written stays");
    batch = writer->output().between(0, end);
    if (result.end == RecordWriter::End::suspect) {
      require(cleared != begin, "what was cleared is not suspect");
      cleared = begin;
    } else if (begin < records.size()) {
      constexpr std::string_view known = "what is written of it by other means";
      writer->add(known);
      batch += known;
      begin++;
    }
  }
  return 0;
}
