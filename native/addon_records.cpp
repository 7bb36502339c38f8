#include "addon_records.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "record_writer.h"

namespace bpf2kafka {

namespace {

std::string_view view(const Napi::Value& bytes) {
  const auto array = bytes.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(array.Data()), array.ByteLength()};
}

std::uint32_t u32(const Napi::Value& value) { return value.As<Napi::Number>().Uint32Value(); }

bool has(const Napi::Object& object, const char* name) { return !object.Get(name).IsUndefined(); }

template <typename Item, typename Translate>
std::vector<Item> list(const Napi::Value& value, Translate translate) {
  std::vector<Item> items;
  const auto array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); i++) items.push_back(translate(array.Get(i)));
  return items;
}

// As an Avro string.
std::string name_of(const Napi::Value& name) {
  const std::string text = name.As<Napi::String>().Utf8Value();
  std::vector<std::uint8_t> avro(most_bytes + text.size());
  return {avro.data(), put_text(avro.data(), text)};
}

class LearnedWrap : public Napi::ObjectWrap<LearnedWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "LearnedTable",
                       {
                           InstanceMethod<&LearnedWrap::get>("get"),
                           InstanceMethod<&LearnedWrap::set>("set"),
                           InstanceMethod<&LearnedWrap::clear>("clear"),
                       });
  }

  explicit LearnedWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<LearnedWrap>(info),
        table_(std::make_shared<LearnedTable>(unsigned_of(info[0]), unsigned_of(info[1]))) {}

  const std::shared_ptr<LearnedTable>& table() const { return table_; }

 private:
  Napi::Value get(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const Entry found = table_->find(view(info[0]));
      if (!found) return info.Env().Undefined();
      Napi::Array parts = Napi::Array::New(info.Env(), found.count());
      for (std::uint32_t i = 0; i < found.count(); i++) {
        const std::string_view part = found.part(i);
        parts.Set(i, Napi::Buffer<char>::Copy(info.Env(), part.data(), part.size()));
      }
      return parts;
    });
  }

  void set(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const auto parts = list<std::string_view>(info[1], view);
      const auto names = list<std::string>(info[2], name_of);
      if (parts.size() > Learned::max_parts) throw Error("ERR_ADDON", "learn", "a value", EINVAL, "it has too many parts");
      Learned learned{.count = static_cast<std::uint32_t>(parts.size()),
                      .missing_count = static_cast<std::uint32_t>(names.size())};
      std::copy(parts.begin(), parts.end(), learned.parts.begin());
      std::string missing;
      for (const auto& name : names) missing += name;
      learned.missing = missing;
      table_->set(view(info[0]), learned);
    });
  }

  void clear(const Napi::CallbackInfo&) { table_->clear(); }

  std::shared_ptr<LearnedTable> table_;
};

std::shared_ptr<LearnedTable> table_of(const Napi::Value& value) {
  return LearnedWrap::Unwrap(value.As<Napi::Object>())->table();
}

Place place_of(const Napi::Value& value) {
  const auto place = value.As<Napi::Object>();
  const std::uint32_t bytes = u32(place.Get("bytes"));
  // No size is so large: it is refused when the program is prepared.
  return {.offset = u32(place.Get("offset")), .bytes = static_cast<std::uint8_t>(std::min(bytes, 255U))};
}

SpanPlace span_of(const Napi::Value& value) {
  const auto span = value.As<Napi::Object>();
  return {u32(span.Get("offset")), u32(span.Get("length"))};
}

Key key_of(const Napi::Value& value) {
  const auto key = value.As<Napi::Object>();
  if (has(key, "span")) return {.numbers = {}, .span = span_of(key.Get("span"))};
  return {.numbers = list<Place>(key.Get("numbers"), place_of)};
}

// Its bits that count, below 2^32; without `mask` all of them.
Place masked_place_of(const Napi::Object& object) {
  Place place = place_of(object.Get("place"));
  if (has(object, "mask")) place.mask = u32(object.Get("mask"));
  return place;
}

template <typename Kind>
Kind kind_of(const Napi::Object& object, const std::vector<std::pair<const char*, Kind>>& kinds) {
  const std::string given = object.Get("kind").As<Napi::String>().Utf8Value();
  for (const auto& [name, kind] : kinds)
    if (given == name) return kind;
  throw Error("ERR_ADDON", "use", "the program for records", EINVAL, "it has no kind " + given);
}

Condition condition_of(const Napi::Object& object) {
  using Kind = Condition::Kind;
  Condition condition{
      .kind = kind_of<Kind>(object, {{"equal", Kind::equal}, {"unequal", Kind::unequal}, {"same", Kind::same}}),
      .place = masked_place_of(object)};
  if (has(object, "value")) condition.value = unsigned_of(object.Get("value"));
  if (has(object, "other")) condition.other = place_of(object.Get("other"));
  return condition;
}

void add_whole(RecordProgram& program, const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); i++) {
    const auto object = array.Get(i).As<Napi::Object>();
    if (object.Get("kind").As<Napi::String>().Utf8Value() == "harmless")
      program.harmless.push_back(span_of(object.Get("span")));
    else
      program.whole.push_back(condition_of(object));
  }
}

const std::vector<std::pair<const char*, Step::Kind>> step_kinds = {
    {"bytes", Step::Kind::bytes},     {"number", Step::Kind::number}, {"bit", Step::Kind::bit},
    {"decimal", Step::Kind::decimal}, {"hex", Step::Kind::hex},       {"name", Step::Kind::name},
    {"device", Step::Kind::device},   {"text", Step::Kind::text},     {"texts", Step::Kind::texts},
    {"micros", Step::Kind::micros},   {"millis", Step::Kind::millis}, {"given", Step::Kind::given},
    {"learned", Step::Kind::learned}, {"missing", Step::Kind::missing}, {"when", Step::Kind::when},
    {"items", Step::Kind::items},     {"keep", Step::Kind::keep},     {"sized", Step::Kind::sized},
};

Piece add_bytes(RecordProgram& program, std::string_view bytes) {
  const Piece piece{static_cast<std::uint32_t>(program.bytes.size()), static_cast<std::uint32_t>(bytes.size())};
  program.bytes += bytes;
  return piece;
}

void add_steps(RecordProgram& program, const Napi::Value& value);

// Appends a step, and behind it those inside of it.
void add_step(RecordProgram& program, const Napi::Object& object, Piece before) {
  Step step{.kind = kind_of(object, step_kinds), .before = before};
  if (has(object, "place")) step.place = masked_place_of(object);
  if (has(object, "offset")) step.place.offset = u32(object.Get("offset"));
  if (has(object, "most")) step.is_int = object.Get("most").As<Napi::String>().Utf8Value() == "int";
  if (has(object, "index")) step.index = static_cast<std::uint8_t>(u32(object.Get("index")));
  if (const Napi::Value of = object.Get("of"); of.IsNumber()) step.index = static_cast<std::uint8_t>(u32(of));
  if (has(object, "part")) step.part = static_cast<std::uint8_t>(u32(object.Get("part")));
  if (has(object, "itemBytes")) step.count = u32(object.Get("itemBytes"));
  if (has(object, "span")) step.span = span_of(object.Get("span"));
  if (step.kind == Step::Kind::missing) {
    std::string names;
    for (const auto& name : list<std::string>(object.Get("names"), name_of)) {
      names += name;
      step.count++;
    }
    step.names = add_bytes(program, names);
    for (const std::uint32_t table : list<std::uint32_t>(object.Get("of"), u32))
      step.tables = static_cast<std::uint8_t>(step.tables | 1U << table);
  }
  if (has(object, "condition")) {
    step.index = static_cast<std::uint8_t>(program.conditions.size());
    program.conditions.push_back(condition_of(object.Get("condition").As<Napi::Object>()));
  }
  const std::size_t at = program.steps.size();
  program.steps.push_back(step);
  if (has(object, "steps")) add_steps(program, object.Get("steps"));
  program.steps[at].end = static_cast<std::uint32_t>(program.steps.size());
}

// Bytes are written with the step behind them: half of all steps are such.
void add_steps(RecordProgram& program, const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); i++) {
    auto object = array.Get(i).As<Napi::Object>();
    Piece before;
    if (has(object, "bytes")) before = add_bytes(program, view(object.Get("bytes")));
    if (i + 1 < array.Length() && has(object, "bytes")) {
      const auto next = array.Get(i + 1).As<Napi::Object>();
      if (!has(next, "bytes")) {
        object = next;
        i++;
      }
    }
    add_step(program, object, before);
  }
}

RecordProgram program_of(const Napi::Object& object) {
  RecordProgram program;
  add_steps(program, object.Get("steps"));
  add_whole(program, object.Get("whole"));
  const auto timestamp = object.Get("timestamp").As<Napi::Object>();
  program.timestamp = {place_of(timestamp.Get("place")), u32(timestamp.Get("of"))};
  program.tables = list<Table>(object.Get("tables"), [](const Napi::Value& value) {
    const auto table = value.As<Napi::Object>();
    return Table{table_of(table.Get("learned")), key_of(table.Get("key"))};
  });
  if (has(object, "secrets")) {
    const auto secrets = object.Get("secrets").As<Napi::Object>();
    const auto slots = secrets.Get("slots").As<Napi::Int32Array>();
    program.secrets = {{slots.Data(), slots.Data() + slots.ElementLength()},
                       secrets.Get("multiplier").As<Napi::Number>().Int32Value(),
                       u32(secrets.Get("shift")),
                       secrets.Get("scheme").As<Napi::Number>().Int32Value()};
  }
  if (has(object, "kept")) {
    const auto kept = object.Get("kept").As<Napi::Object>();
    program.kept = table_of(kept.Get("learned"));
    program.kept_key = key_of(kept.Get("key"));
    program.kept_names = list<std::string>(kept.Get("names"), name_of);
  }
  program.record_bytes = u32(object.Get("recordBytes"));
  program.given = u32(object.Get("given"));
  return program;
}

class RecordWriterWrap : public Napi::ObjectWrap<RecordWriterWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RecordWriter",
                       {
                           InstanceMethod<&RecordWriterWrap::clear>("clear"),
                           InstanceMethod<&RecordWriterWrap::write>("write"),
                           InstanceMethod<&RecordWriterWrap::stopped>("stopped"),
                           InstanceMethod<&RecordWriterWrap::add>("add"),
                           InstanceMethod<&RecordWriterWrap::bytes>("bytes"),
                           InstanceMethod<&RecordWriterWrap::copy_to>("copyTo"),
                       });
  }

  explicit RecordWriterWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RecordWriterWrap>(info) {
    guarded(info.Env(), [&] { writer_ = std::make_unique<RecordWriter>(program_of(info[0].As<Napi::Object>())); });
  }

 private:
  void clear(const Napi::CallbackInfo&) { writer_->clear(); }

  // Of the arrays for the records those from `begin` to `end`.
  Napi::Value write(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const auto memory = info[0].As<Napi::Uint8Array>();
      const auto records = info[1].As<Napi::Uint32Array>();
      const auto given = info[2].As<Napi::Float64Array>();
      auto ends = info[3].As<Napi::Uint32Array>();
      auto timestamps = info[4].As<Napi::Float64Array>();
      const std::size_t begin = u32(info[5]);
      const std::size_t end = u32(info[6]);
      const std::size_t cleared = info[7].IsNumber() ? u32(info[7]) : 0;
      const bool is_cleared = info[7].IsNumber() && cleared >= begin;
      const std::size_t numbers = writer_->given();
      if (begin > end || end > records.ElementLength() || end > ends.ElementLength() || end > timestamps.ElementLength() ||
          end * numbers > given.ElementLength())
        throw Error("ERR_ADDON", "write", "records", EINVAL, "there are fewer than that");
      const std::size_t count = end - begin;
      last_ = writer_->write({.memory = {memory.Data(), memory.ByteLength()},
                              .records = {records.Data() + begin, count},
                              .given = {given.Data() + begin * numbers, count * numbers},
                              .ends = {ends.Data() + begin, count},
                              .timestamps = {timestamps.Data() + begin, count}},
                             is_cleared ? cleared - begin : RecordWriter::none);
      return Napi::Number::New(info.Env(), static_cast<double>(begin + last_.written));
    });
  }

  Napi::Value stopped(const Napi::CallbackInfo& info) {
    Napi::Object object = Napi::Object::New(info.Env());
    if (last_.end == RecordWriter::End::unknown) object.Set("unknown", last_.table);
    if (last_.end == RecordWriter::End::suspect) object.Set("suspect", true);
    return object;
  }

  Napi::Value add(const Napi::CallbackInfo& info) {
    writer_->add(view(info[0]));
    return bytes(info);
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(writer_->output().size()));
  }

  void copy_to(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      auto memory = info[0].As<Napi::Uint8Array>();
      const AvroOutput& output = writer_->output();
      if (memory.ByteLength() < output.size()) throw Error("ERR_ADDON", "copy", "records", EINVAL, "there is less room than that");
      if (output.size() > 0) std::memcpy(memory.Data(), output.data(), output.size());
    });
  }

  RecordWriter::Result last_{};
  std::unique_ptr<RecordWriter> writer_;
};

}  // namespace

void add_records(Napi::Env env, Napi::Object exports) {
  exports.Set("LearnedTable", LearnedWrap::define(env));
  exports.Set("RecordWriter", RecordWriterWrap::define(env));
}

}  // namespace bpf2kafka
