#include "record_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace bpf2kafka {

namespace {

constexpr std::uint32_t name_bytes = 16;
constexpr std::uint8_t null_branch = 0;
// Ends an array: a block of no items.
constexpr std::uint8_t array_end = 0;

// Cleared texts that are remembered, of each kind.
constexpr std::size_t cleared_texts = 1024;
constexpr std::size_t cleared_bytes = 256 * 1024;

// What a step writes at most, what stands before it included, besides texts and longer pieces.
constexpr std::size_t step_bytes = RecordProgram::piece_bytes + most_bytes;

// Of the length in front of `sized` steps, kept for it until it is known: right from 64 bytes to 8 KiB, as nearly all are.
constexpr std::size_t likely_prefix = 2;

// given: microseconds between boot and 1970.
double millis_of(std::uint64_t nanos, double given) { return std::floor((static_cast<double>(nanos / 1000) + given) / 1000); }

bool is_long(double value) { return value >= 0 && value <= static_cast<double>(largest_long) && std::floor(value) == value; }

}  // namespace

RecordWriter::RecordWriter(RecordProgram program) : program_(std::move(program)) {
  program_.prepare();
  for (std::size_t i = 0; i < program_.harmless.size(); i++) cleared_.emplace_back(cleared_texts, cleared_bytes);
}

// One record on its way: where it stands, and what was looked up for it. All that writes takes where it begins, and returns
// where it ends: null when the record is declined. There is room for all steps there.
class RecordWriter::Record {
 public:
  Record(RecordWriter& writer, RecordView& view, std::span<const double> given)
      : program_(writer.program_), output_(writer.output_), items_(writer.items_), view_(view), given_(given) {}

  // The first table that does not know what the record asks for.
  std::optional<std::uint32_t> look_up() {
    for (std::uint32_t i = 0; i < program_.tables.size(); i++) {
      const Table& table = program_.tables[i];
      found_[i] = table.learned->find(view_.key(table.key));
      if (!found_[i]) return i;
    }
    return std::nullopt;
  }

  bool write() {
    const std::uint8_t* end = write(0, static_cast<std::uint32_t>(program_.steps.size()), view_.at(), room(output_.end(), 0));
    if (end == declined) return false;
    output_.end_at(end);
    return true;
  }

  void keep() {
    if (!program_.kept) return;
    Learned learned{.count = static_cast<std::uint32_t>(program_.kept_names.size())};
    std::string missing;
    for (std::size_t i = 0; i < program_.kept_names.size(); i++) {
      const auto [begin, end] = kept_[i];
      if (begin != end) {
        learned.parts[i] = output_.between(begin, end);
        continue;
      }
      learned.parts[i] = {"\0", 1};
      missing += program_.kept_names[i];
      learned.missing_count++;
    }
    learned.missing = missing;
    program_.kept->set(view_.key(program_.kept_key), learned);
  }

 private:
  using Out = std::uint8_t*;
  static constexpr Out declined = nullptr;

  // For so many bytes, and all that the steps write behind them.
  Out room(Out out, std::size_t bytes) { return output_.room(out, bytes + program_.steps.size() * step_bytes); }

  // at: where the struct begins, the record or an item in it, that these steps are about.
  Out write(std::uint32_t begin, std::uint32_t end, const std::uint8_t* at, Out out) {
    const Step* const steps = program_.steps.data();
    for (std::uint32_t i = begin; i < end; i++) {
      const Step& step = steps[i];
      out = before(step, out);
      switch (step.kind) {
        case Step::Kind::bytes:
          break;
        case Step::Kind::number:
          out = bounded(out, number_of(step.place, at), step.is_int ? largest_int : largest_long);
          break;
        case Step::Kind::bit:
          out = put_byte(out, number_of(step.place, at) >> step.index & 1);
          break;
        case Step::Kind::decimal:
          out = put_decimal(out, number_of(step.place, at));
          break;
        case Step::Kind::hex:
          out = put_hex(out, load<std::uint32_t>(at + step.place.offset));
          break;
        case Step::Kind::name:
          out = name(out, at + step.place.offset);
          break;
        case Step::Kind::device:
          out = put_device(out, static_cast<std::uint32_t>(number_of(step.place, at)));
          break;
        case Step::Kind::text:
          out = text(out, view_.string(step.span, at));
          break;
        case Step::Kind::texts:
          out = texts(out, view_.string(step.span, at), number_of(step.place, at));
          break;
        case Step::Kind::micros:
          out = bounded(out, number_of(step.place, at) / 1000, largest_long);
          break;
        case Step::Kind::millis:
          out = given(out, millis_of(number_of(step.place, at), given_[step.index]));
          break;
        case Step::Kind::given:
          out = given(out, given_[step.index]);
          break;
        case Step::Kind::learned:
          out = copy(out, found_[step.index].part(step.part));
          break;
        case Step::Kind::missing:
          out = missing(step, out);
          break;
        case Step::Kind::when:
          // The steps inside are the next ones.
          if (holds(program_.conditions[step.index], at)) break;
          out = put_byte(out, null_branch);
          i = step.end - 1;
          break;
        case Step::Kind::items:
          out = items(step, i, at, out);
          i = step.end - 1;
          break;
        case Step::Kind::keep: {
          const std::size_t kept = output_.offset_of(out);
          out = write(i + 1, step.end, at, out);
          if (out != declined) kept_[step.part] = {kept, output_.offset_of(out)};
          i = step.end - 1;
          break;
        }
        case Step::Kind::sized:
          out = sized(step, i, at, out);
          i = step.end - 1;
          break;
      }
      if (out == declined) return declined;
    }
    return out;
  }

  Out sized(const Step& step, std::uint32_t index, const std::uint8_t* at, Out out) {
    const std::size_t begin = output_.offset_of(out);
    out = write(index + 1, step.end, at, out + likely_prefix);
    if (out == declined) return declined;
    const std::size_t size = output_.offset_of(out) - begin - likely_prefix;
    std::uint8_t prefix[most_bytes];
    const auto prefix_size = static_cast<std::size_t>(put_number(prefix, size) - prefix);
    const Out start = out - size - likely_prefix;
    if (prefix_size != likely_prefix) {
      std::memmove(start + prefix_size, start + likely_prefix, size);
      for (auto& [from, to] : kept_) {
        if (from < begin) continue;
        from += prefix_size - likely_prefix;
        to += prefix_size - likely_prefix;
      }
    }
    std::memcpy(start, prefix, prefix_size);
    return start + prefix_size + size;
  }

  // What is the same for each record: short, but for the first one of all.
  Out before(const Step& step, Out out) {
    const char* const bytes = program_.bytes.data() + step.before.begin;
    if (step.before.size > RecordProgram::piece_bytes) return copy(out, {bytes, step.before.size});
    std::memcpy(out, bytes, RecordProgram::piece_bytes);
    return out + step.before.size;
  }

  Out copy(Out out, std::string_view bytes) { return put_bytes(room(out, bytes.size()), bytes); }

  Out bounded(Out out, std::uint64_t value, std::uint64_t most) { return value > most ? declined : put_number(out, value); }

  Out given(Out out, double value) {
    return is_long(value) ? put_number(out, static_cast<std::uint64_t>(value)) : declined;
  }

  Out text(Out out, std::optional<std::string_view> text) {
    if (!text || !is_utf8(*text)) return declined;
    return put_text(room(out, text->size()), *text);
  }

  Out name(Out out, const std::uint8_t* at) {
    const auto* begin = reinterpret_cast<const char*>(at);
    const std::string_view name(begin, strnlen(begin, name_bytes));
    return is_utf8(name) ? put_text(out, name) : declined;
  }

  // count: how many they are said to be. With another number they are not written.
  Out texts(Out out, std::optional<std::string_view> texts, std::uint64_t count) {
    if (!texts || !is_utf8(*texts)) return declined;
    std::string_view rest = *texts;
    if (!rest.empty()) out = put_number(out, count);
    std::uint64_t found = 0;
    while (!rest.empty()) {
      const std::string_view text = rest.substr(0, rest.find('\0'));
      out = put_text(room(out, text.size()), text);
      rest.remove_prefix(std::min(text.size() + 1, rest.size()));
      found++;
    }
    if (found > 0 && found != count) return declined;
    return put_byte(out, array_end);
  }

  Out missing(const Step& step, Out out) {
    std::uint32_t count = step.count;
    for (std::uint32_t i = 0; i < program_.tables.size(); i++)
      if (step.tables >> i & 1) count += found_[i].missing_count();
    if (count > 0) {
      out = put_number(out, count);
      out = copy(out, {program_.bytes.data() + step.names.begin, step.names.size});
      for (std::uint32_t i = 0; i < program_.tables.size(); i++)
        if (step.tables >> i & 1) out = copy(out, found_[i].missing());
    }
    return put_byte(out, array_end);
  }

  Out items(const Step& step, std::uint32_t index, const std::uint8_t* at, Out out) {
    const auto found = view_.string(step.span, at);
    if (!found) return declined;
    if (const std::string_view avro = items_.find(*found, given_); !avro.empty()) return copy(out, avro);
    const std::size_t begin = output_.offset_of(out);
    const std::size_t count = found->size() / step.count;
    if (count > 0) out = put_number(out, count);
    const auto* item = reinterpret_cast<const std::uint8_t*>(found->data());
    for (std::size_t i = 0; i < count; i++, item += step.count) {
      out = write(index + 1, step.end, item, room(out, 0));
      if (out == declined) return declined;
    }
    out = put_byte(out, array_end);
    items_.keep(*found, given_, output_.between(begin, output_.offset_of(out)));
    return out;
  }

  const RecordProgram& program_;
  AvroOutput& output_;
  WrittenItems& items_;
  RecordView& view_;
  const std::span<const double> given_;
  std::array<Entry, max_tables> found_;
  std::array<std::pair<std::size_t, std::size_t>, Learned::max_parts> kept_{};
};

RecordWriter::End RecordWriter::judge(RecordView& record, bool is_cleared) {
  for (const Condition& condition : program_.whole)
    if (!holds(condition, record.at())) return End::declined;
  for (std::size_t i = 0; i < program_.harmless.size(); i++) {
    const auto text = record.string(program_.harmless[i]);
    if (!text) return End::declined;
    if (!program_.secrets.may_be_in(*text)) continue;
    if (is_cleared) cleared_[i].set(*text, {});
    else if (!cleared_[i].find(*text)) return End::suspect;
  }
  return End::all;
}

RecordWriter::Result RecordWriter::write(const Records& batch, std::size_t cleared) {
  const auto& [memory, records, given, ends, timestamps] = batch;
  for (std::size_t i = 0; i < records.size(); i++) {
    if (records[i] > memory.size() || memory.size() - records[i] < program_.record_bytes) return {i, End::declined, 0};
    RecordView view(memory, records[i]);
    if (const End end = judge(view, i == cleared); end != End::all) return {i, end, 0};
    const auto numbers = given.subspan(i * program_.given, program_.given);
    Record record(*this, view, numbers);
    if (const auto unknown = record.look_up()) return {i, End::unknown, *unknown};
    if (!record.write()) return {i, End::declined, 0};
    record.keep();
    ends[i] = static_cast<std::uint32_t>(output_.size());
    const auto& [place, index] = program_.timestamp;
    timestamps[i] = millis_of(number_of(place, view.at()), numbers[index]);
  }
  return {records.size(), End::all, 0};
}

}  // namespace bpf2kafka
