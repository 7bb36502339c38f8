#include "record_program.h"

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
  void number(Place place) const {
    require(place.bytes == 1 || place.bytes == 2 || place.bytes == 4 || place.bytes == 8, "a number has no such size");
    inside(place.offset, place.bytes);
  }
  void string(SpanPlace span) const {
    inside(span.offset, 2);
    inside(span.length, 2);
  }
  void key(const Key& key) const {
    if (key.numbers.empty()) return string(key.span);
    std::size_t bytes = 0;
    for (const Place& each : key.numbers) {
      number(each);
      bytes += each.bytes;
    }
    require(bytes <= max_key_bytes, "a key is too long");
  }
  void condition(const Condition& condition) const {
    if (condition.kind == Condition::Kind::harmless) return string(condition.span);
    number(condition.place);
    if (condition.kind == Condition::Kind::same) number(condition.other);
  }

 private:
  std::uint32_t end_;
};

class Check {
 public:
  explicit Check(const RecordProgram& program) : program_(program) {}

  void steps(std::uint32_t begin, std::uint32_t end, Bounds bounds, bool in_items = false) const {
    require(end <= program_.steps.size(), "steps end behind the program");
    for (std::uint32_t at = begin; at < end;) {
      const Step& each = program_.steps[at];
      step(each, bounds);
      require(!in_items || depends_on_bytes(each.kind), "an item depends on more than its bytes");
      const bool has_steps_inside =
          each.kind == Step::Kind::when || each.kind == Step::Kind::items || each.kind == Step::Kind::keep;
      if (!has_steps_inside) {
        at++;
        continue;
      }
      require(each.end > at && each.end <= end, "steps end outside of those around them");
      const bool is_items = each.kind == Step::Kind::items;
      steps(at + 1, each.end, is_items ? Bounds(each.count) : bounds, in_items || is_items);
      at = each.end;
    }
  }

 private:
  // And on the numbers that are given for the record.
  static bool depends_on_bytes(Step::Kind kind) {
    return kind != Step::Kind::learned && kind != Step::Kind::missing && kind != Step::Kind::keep && kind != Step::Kind::items;
  }

  void step(const Step& step, Bounds bounds) const {
    switch (step.kind) {
      case Step::Kind::bytes:
        return pool(step);
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
        return given(step);
      case Step::Kind::given:
        return given(step);
      case Step::Kind::learned:
        require(step.index < program_.tables.size() && step.part < Learned::max_parts, "there is no such table");
        return;
      case Step::Kind::missing:
        require(step.tables >> program_.tables.size() == 0, "there is no such table");
        return pool(step);
      case Step::Kind::when:
        require(step.condition < program_.conditions.size(), "there is no such condition");
        return bounds.condition(program_.conditions[step.condition]);
      case Step::Kind::items:
        require(step.count > 0, "an item has no bytes");
        return bounds.string(step.span);
      case Step::Kind::keep:
        require(step.part < program_.kept_names.size(), "nothing is kept there");
        return;
    }
  }

  void pool(const Step& step) const {
    require(step.begin <= program_.bytes.size() && step.size <= program_.bytes.size() - step.begin, "there are no such bytes");
  }
  void given(const Step& step) const { require(step.index < program_.given, "there is no such number"); }

  const RecordProgram& program_;
};

}  // namespace

void RecordProgram::check() const {
  const Bounds record(record_bytes);
  require(tables.size() <= max_tables, "too many tables");
  require(kept_names.size() <= Learned::max_parts, "too many values are kept");
  for (const Table& table : tables) record.key(table.key);
  if (kept) record.key(kept_key);
  for (const Condition& condition : whole) {
    record.condition(condition);
    if (condition.kind == Condition::Kind::harmless)
      require(secrets.is_sound(), "there is nothing to know a secret by");
  }
  for (const Condition& condition : conditions)
    require(condition.kind != Condition::Kind::harmless, "secrets are no part of a value");
  Check(*this).steps(0, static_cast<std::uint32_t>(steps.size()), record);
}

}  // namespace bpf2kafka
