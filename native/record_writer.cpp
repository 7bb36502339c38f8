#include "record_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>

namespace bpf2kafka {

namespace {

constexpr std::uint32_t device_minor_bits = 20;  // include/linux/kdev_t.h
constexpr std::uint32_t name_bytes = 16;
constexpr std::uint8_t null_branch = 0;

// Of a step: `declined` ends the record.
constexpr bool written = true;
constexpr bool declined = false;

template <typename Number>
Number load(const std::uint8_t* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

bool is_long(double value) { return value >= 0 && value <= static_cast<double>(largest_long) && std::floor(value) == value; }

}  // namespace

std::string_view WrittenItems::find(std::string_view items, std::span<const double> given) const {
  const Entry& entry = entries_[place_of(items)];
  if (entry.items != items || !std::equal(given.begin(), given.end(), entry.given.begin(), entry.given.end())) return {};
  return entry.avro;
}

void WrittenItems::keep(std::string_view items, std::span<const double> given, std::string_view avro) {
  entries_[place_of(items)] = {std::string(items), {given.begin(), given.end()}, std::string(avro)};
}

std::size_t WrittenItems::place_of(std::string_view items) { return std::hash<std::string_view>()(items) % places; }

// One record on its way: where it stands, and what was looked up for it.
class RecordWriter::Record {
 public:
  // at: seen to have the program's `record_bytes` in memory.
  Record(RecordWriter& writer, std::span<const std::uint8_t> memory, std::size_t at, std::span<const double> given)
      : program_(writer.program_),
        output_(writer.output_),
        items_(writer.items_),
        memory_(memory),
        at_(memory.data() + at),
        given_(given) {}

  // all, or why it cannot be written.
  End judge(bool is_cleared) const {
    for (const Condition& condition : program_.whole) {
      if (condition.kind != Condition::Kind::harmless) {
        if (!holds(condition, at_)) return End::declined;
      } else if (!is_cleared) {
        const auto texts = string(condition.span, at_);
        if (!texts) return End::declined;
        if (program_.secrets.may_be_in(*texts)) return End::suspect;
      }
    }
    return End::all;
  }

  // The first table that does not know what the record asks for.
  std::optional<std::uint32_t> look_up() {
    for (std::uint32_t i = 0; i < program_.tables.size(); i++) {
      const Table& table = program_.tables[i];
      found_[i] = table.learned->find(key_of(table.key));
      if (!found_[i]) return i;
    }
    return std::nullopt;
  }

  bool write() { return write(0, static_cast<std::uint32_t>(program_.steps.size()), at_); }

  void keep() {
    if (!program_.kept) return;
    Learned learned{.count = static_cast<std::uint32_t>(program_.kept_names.size())};
    std::string missing;
    for (std::size_t i = 0; i < program_.kept_names.size(); i++) {
      const auto [begin, end] = kept_[i];
      if (begin != end) {
        learned.parts[i] = output_.from(begin).substr(0, end - begin);
        continue;
      }
      learned.parts[i] = {"\0", 1};
      missing += program_.kept_names[i];
      learned.missing_count++;
    }
    learned.missing = missing;
    program_.kept->set(key_of(program_.kept_key), learned);
  }

 private:
  static std::uint64_t number(Place place, const std::uint8_t* at) {
    switch (place.bytes) {
      case 1:
        return at[place.offset];
      case 2:
        return load<std::uint16_t>(at + place.offset);
      case 4:
        return load<std::uint32_t>(at + place.offset);
      default:
        return load<std::uint64_t>(at + place.offset);
    }
  }

  // A record may say anything about where its strings are.
  std::optional<std::string_view> string(SpanPlace span, const std::uint8_t* at) const {
    const std::size_t begin = static_cast<std::size_t>(at - memory_.data()) + load<std::uint16_t>(at + span.offset);
    const std::size_t length = load<std::uint16_t>(at + span.length);
    if (begin > memory_.size() || memory_.size() - begin < length) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(memory_.data()) + begin, length);
  }

  static bool holds(const Condition& condition, const std::uint8_t* at) {
    const std::uint64_t value = number(condition.place, at);
    switch (condition.kind) {
      case Condition::Kind::equal:
        return (value & condition.mask) == condition.value;
      case Condition::Kind::unequal:
        return (value & condition.mask) != condition.value;
      default:
        return value == number(condition.other, at);
    }
  }

  // Good until the next call.
  std::string_view key_of(const Key& key) {
    if (key.numbers.empty()) return string(key.span, at_).value_or(std::string_view());
    std::size_t used = 0;
    for (const Place& place : key.numbers) {
      std::memcpy(key_.data() + used, at_ + place.offset, place.bytes);
      used += place.bytes;
    }
    return {key_.data(), used};
  }

  // at: where the struct begins, the record or an item in it, that these steps are about.
  bool write(std::uint32_t begin, std::uint32_t end, const std::uint8_t* at) {
    const Step* const steps = program_.steps.data();
    for (std::uint32_t i = begin; i < end; i++) {
      const Step& step = steps[i];
      bool is_written = written;
      switch (step.kind) {
        case Step::Kind::bytes:
          output_.copy(pool(step));
          break;
        case Step::Kind::number:
          is_written = bounded(number(step.place, at) & step.mask, step.most);
          break;
        case Step::Kind::bit:
          output_.byte(number(step.place, at) >> step.index & 1);
          break;
        case Step::Kind::decimal:
          decimal(number(step.place, at));
          break;
        case Step::Kind::hex:
          hex(load<std::uint32_t>(at + step.place.offset));
          break;
        case Step::Kind::name:
          is_written = text(name(at + step.place.offset));
          break;
        case Step::Kind::device:
          device(static_cast<std::uint32_t>(number(step.place, at)));
          break;
        case Step::Kind::text: {
          const auto found = string(step.span, at);
          is_written = found && text(*found);
          break;
        }
        case Step::Kind::texts: {
          const auto found = string(step.span, at);
          is_written = found && texts(*found, number(step.place, at));
          break;
        }
        case Step::Kind::micros:
          is_written = bounded(number(step.place, at) / 1000, largest_long);
          break;
        case Step::Kind::millis:
          is_written = given(std::floor((static_cast<double>(number(step.place, at) / 1000) + given_[step.index]) / 1000));
          break;
        case Step::Kind::given:
          is_written = given(given_[step.index]);
          break;
        case Step::Kind::learned:
          output_.copy(found_[step.index]->parts[step.part]);
          break;
        case Step::Kind::missing:
          missing(step);
          break;
        case Step::Kind::when:
          if (holds(program_.conditions[step.condition], at)) {
            is_written = write(i + 1, step.end, at);
          } else {
            output_.byte(null_branch);
          }
          i = step.end - 1;
          break;
        case Step::Kind::items:
          is_written = items(step, i, at);
          i = step.end - 1;
          break;
        case Step::Kind::keep: {
          const std::size_t before = output_.size();
          is_written = write(i + 1, step.end, at);
          kept_[step.part] = {before, output_.size()};
          i = step.end - 1;
          break;
        }
      }
      if (is_written == declined) return declined;
    }
    return written;
  }

  std::string_view pool(const Step& step) const { return {program_.bytes.data() + step.begin, step.size}; }

  bool bounded(std::uint64_t value, std::uint64_t most) {
    if (value > most) return declined;
    output_.number(value);
    return written;
  }

  bool given(double value) {
    if (!is_long(value)) return declined;
    output_.number(static_cast<std::uint64_t>(value));
    return written;
  }

  bool text(std::string_view bytes) {
    if (!is_utf8(bytes)) return declined;
    output_.text(bytes);
    return written;
  }

  // count: how many they are said to be. With another number they are not written.
  bool texts(std::string_view bytes, std::uint64_t count) {
    if (!is_utf8(bytes)) return declined;
    if (!bytes.empty()) output_.number(count);
    std::uint64_t found = 0;
    while (!bytes.empty()) {
      const std::string_view text = bytes.substr(0, bytes.find('\0'));
      output_.text(text);
      bytes.remove_prefix(std::min(text.size() + 1, bytes.size()));
      found++;
    }
    if (found > 0 && found != count) return declined;
    output_.byte(0);  // an array ends with a block of no items
    return written;
  }

  static std::string_view name(const std::uint8_t* at) {
    const auto* begin = reinterpret_cast<const char*>(at);
    return {begin, strnlen(begin, name_bytes)};
  }

  void decimal(std::uint64_t value) {
    char digits[20];
    const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    output_.text({digits, static_cast<std::size_t>(end - digits)});
  }

  void device(std::uint32_t value) {
    char digits[21];
    char* end = std::to_chars(digits, digits + sizeof digits, value >> device_minor_bits).ptr;
    *end++ = ':';
    end = std::to_chars(end, digits + sizeof digits, value & ((1U << device_minor_bits) - 1)).ptr;
    output_.text({digits, static_cast<std::size_t>(end - digits)});
  }

  void hex(std::uint32_t value) {
    std::uint8_t* digits = output_.room(8);
    for (int i = 7; i >= 0; i--, value >>= 4) digits[i] = static_cast<std::uint8_t>("0123456789abcdef"[value & 0xf]);
    output_.wrote(8);
  }

  void missing(const Step& step) {
    std::uint32_t count = step.count;
    for (std::uint32_t i = 0; i < program_.tables.size(); i++)
      if (step.tables >> i & 1) count += found_[i]->missing_count;
    if (count > 0) {
      output_.number(count);
      output_.copy(pool(step));
      for (std::uint32_t i = 0; i < program_.tables.size(); i++)
        if (step.tables >> i & 1) output_.copy(found_[i]->missing);
    }
    output_.byte(0);
  }

  bool items(const Step& step, std::uint32_t index, const std::uint8_t* at) {
    const auto found = string(step.span, at);
    if (!found) return declined;
    if (const std::string_view avro = items_.find(*found, given_); !avro.empty()) {
      output_.copy(avro);
      return written;
    }
    const std::size_t begin = output_.size();
    const std::size_t count = found->size() / step.count;
    if (count > 0) output_.number(count);
    const auto* item = reinterpret_cast<const std::uint8_t*>(found->data());
    for (std::size_t i = 0; i < count; i++, item += step.count)
      if (!write(index + 1, step.end, item)) return declined;
    output_.byte(0);
    items_.keep(*found, given_, output_.from(begin));
    return written;
  }

  const RecordProgram& program_;
  AvroOutput& output_;
  WrittenItems& items_;
  const std::span<const std::uint8_t> memory_;
  const std::uint8_t* const at_;
  const std::span<const double> given_;
  std::array<std::optional<Learned>, max_tables> found_{};
  std::array<std::pair<std::size_t, std::size_t>, Learned::max_parts> kept_{};
  std::array<char, max_key_bytes> key_;
};

RecordWriter::Result RecordWriter::write(std::span<const std::uint8_t> memory, std::span<const std::uint32_t> records,
                                         std::span<const double> given, std::span<std::uint32_t> ends, std::size_t cleared) {
  output_.cut(0);
  for (std::size_t i = 0; i < records.size(); i++) {
    if (records[i] > memory.size() || memory.size() - records[i] < program_.record_bytes) return {i, End::declined, 0};
    Record record(*this, memory, records[i], given.subspan(i * program_.given, program_.given));
    if (const End end = record.judge(i == cleared); end != End::all) return {i, end, 0};
    if (const auto unknown = record.look_up()) return {i, End::unknown, *unknown};
    const std::size_t begin = output_.size();
    if (!record.write()) {
      output_.cut(begin);
      return {i, End::declined, 0};
    }
    record.keep();
    ends[i] = static_cast<std::uint32_t>(output_.size());
  }
  return {records.size(), End::all, 0};
}

}  // namespace bpf2kafka
