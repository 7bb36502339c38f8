#include "record_program.h"

#include <algorithm>

#include "error.h"

namespace bpf2kafka {

namespace {

constexpr std::uint32_t name_bytes = 16;

void require(bool holds, const char* reason) {
  if (!holds) throw Error("ERR_ADDON", "use", "the program for records", EINVAL, reason);
}

// Everything of a struct that ends at `end`.
class Bounds {
 public:
  explicit Bounds(std::uint32_t end) : end_(end) {}

  void inside(std::uint32_t offset, std::uint32_t bytes) const {
    require(offset <= end_ && bytes <= end_ - offset, "a number stands outside of its record");
  }
  void number(Place& place) const {
    require(place.bytes == 1 || place.bytes == 2 || place.bytes == 4 || place.bytes == 8, "a number has no such size");
    inside(place.offset, place.bytes);
    require(end_ >= word_bytes, "a struct has no eight bytes");
    place.begin = std::min(place.offset, end_ - word_bytes);
    place.shift = static_cast<std::uint8_t>(8 * (place.offset - place.begin));
    place.mask &= ~0ULL >> 8 * (word_bytes - place.bytes);
  }
  void string(SpanPlace span) const {
    inside(span.offset, 2);
    inside(span.length, 2);
  }
  void key(Key& key) const {
    if (key.numbers.empty()) return string(key.span);
    std::size_t bytes = 0;
    for (Place& each : key.numbers) {
      number(each);
      bytes += each.bytes;
    }
    require(bytes <= max_key_bytes, "a key is too long");
  }
  void condition(Condition& condition) const {
    number(condition.place);
    if (condition.kind == Condition::Kind::same) number(condition.other);
  }

 private:
  static constexpr std::uint32_t word_bytes = 8;

  std::uint32_t end_;
};

class Steps {
 public:
  explicit Steps(RecordProgram& program) : program_(program) {}

  void prepare(std::uint32_t begin, std::uint32_t end, Bounds bounds, bool in_items = false) {
    require(end <= program_.steps.size(), "steps end behind the program");
    for (std::uint32_t at = begin; at < end;) {
      Step& each = program_.steps[at];
      step(each, bounds);
      require(!in_items || depends_on_bytes(each.kind), "an item depends on more than its bytes");
      if (each.kind < Step::Kind::when) {
        at++;
        continue;
      }
      require(each.end > at && each.end <= end, "steps end outside of those around them");
      const bool is_items = each.kind == Step::Kind::items;
      prepare(at + 1, each.end, is_items ? Bounds(each.count) : bounds, in_items || is_items);
      at = each.end;
    }
  }

 private:
  // And on the numbers that are given for the record.
  static bool depends_on_bytes(Step::Kind kind) {
    return kind != Step::Kind::learned && kind != Step::Kind::missing && kind != Step::Kind::keep &&
           kind != Step::Kind::sized && kind != Step::Kind::items;
  }

  void step(Step& step, Bounds bounds) {
    piece(step.before);
    switch (step.kind) {
      case Step::Kind::bytes:
      case Step::Kind::sized:
        return;
      case Step::Kind::number:
      case Step::Kind::bit:
      case Step::Kind::decimal:
      case Step::Kind::device:
      case Step::Kind::micros:
        return bounds.number(step.place);
      case Step::Kind::hex:
        return bounds.inside(step.place.offset, 4);
      case Step::Kind::name:
        return bounds.inside(step.place.offset, name_bytes);
      case Step::Kind::texts:
        bounds.number(step.place);
        return bounds.string(step.span);
      case Step::Kind::text:
        return bounds.string(step.span);
      case Step::Kind::millis:
        bounds.number(step.place);
        return given(step.index);
      case Step::Kind::given:
        return given(step.index);
      case Step::Kind::learned:
        require(step.index < program_.tables.size() && step.part < Learned::max_parts, "there is no such table");
        return;
      case Step::Kind::missing:
        require(step.tables >> program_.tables.size() == 0, "there is no such table");
        return piece(step.names);
      case Step::Kind::when:
        // Each is about one struct only.
        require(step.index == conditions_++ && step.index < program_.conditions.size(), "there is no such condition");
        return bounds.condition(program_.conditions[step.index]);
      case Step::Kind::items:
        require(step.count > 0, "an item has no bytes");
        return bounds.string(step.span);
      case Step::Kind::keep:
        require(step.part < program_.kept_names.size(), "nothing is kept there");
        return;
    }
  }

  void piece(Piece piece) const {
    require(piece.begin <= program_.bytes.size() && piece.size <= program_.bytes.size() - piece.begin, "there are no such bytes");
  }
  void given(std::uint32_t index) const { require(index < program_.given, "there is no such number"); }

  RecordProgram& program_;
  std::size_t conditions_ = 0;
};

}  // namespace

void RecordProgram::prepare() {
  const Bounds record(record_bytes);
  require(tables.size() <= max_tables, "too many tables");
  require(kept_names.size() <= Learned::max_parts, "too many values are kept");
  require(harmless.empty() || secrets.is_sound(), "there is nothing to know a secret by");
  for (Table& table : tables) record.key(table.key);
  if (kept) record.key(kept_key);
  for (Condition& condition : whole) record.condition(condition);
  for (const SpanPlace& span : harmless) record.string(span);
  record.number(timestamp.place);
  require(timestamp.given < given, "there is no such number");
  Steps(*this).prepare(0, static_cast<std::uint32_t>(steps.size()), record);
  bytes.append(piece_bytes, '\0');
}

}  // namespace bpf2kafka
