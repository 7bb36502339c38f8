#include "layout.h"

#include <bpf/btf.h>

#include <sstream>

#include "error.h"

namespace bpf2kafka {

namespace {

const btf_type* find(const btf* types, const std::string& name, __u32 kind, const char* what) {
  const int id = btf__find_by_name_kind(types, name.c_str(), kind);
  if (id < 0) throw Error("ERR_ADDON", "find in the BTF of the programs", std::string(what) + " " + name, -id);
  return btf__type_by_id(types, static_cast<__u32>(id));
}

void add_members(const btf* types, const btf_type* type, const std::string& prefix, std::uint32_t base,
                 std::vector<Field>& fields) {
  const btf_member* members = btf_members(type);
  for (int i = 0; i < btf_vlen(type); i++) {
    const int id = btf__resolve_type(types, members[i].type);
    const btf_type* member = btf__type_by_id(types, static_cast<__u32>(id));
    const std::string name = prefix + btf__name_by_offset(types, members[i].name_off);
    const std::uint32_t offset = base + btf_member_bit_offset(type, static_cast<__u32>(i)) / 8;
    if (btf_is_array(member) && btf_array(member)->nelems == 0) {
      const btf_type* element = btf__type_by_id(types, static_cast<__u32>(btf__resolve_type(types, btf_array(member)->type)));
      if (btf_is_struct(element)) add_members(types, element, name + ".", 0, fields);
      continue;
    }
    const auto bytes = static_cast<std::uint32_t>(btf__resolve_size(types, static_cast<__u32>(id)));
    if (btf_is_struct(member))
      add_members(types, member, name + ".", offset, fields);
    else
      fields.push_back({name, offset, bytes});
  }
}

StructLayout describe_struct(const btf* types, const std::string& name) {
  const btf_type* type = find(types, name, BTF_KIND_STRUCT, "struct");
  StructLayout layout;
  layout.bytes = type->size;
  add_members(types, type, "", 0, layout.fields);
  return layout;
}

Enumerators describe_enum(const btf* types, const std::string& name) {
  const btf_type* type = find(types, name, BTF_KIND_ENUM, "enum");
  Enumerators enumerators;
  const struct btf_enum* values = btf_enum(type);
  for (int i = 0; i < btf_vlen(type); i++)
    enumerators.emplace_back(btf__name_by_offset(types, values[i].name_off), static_cast<std::uint32_t>(values[i].val));
  return enumerators;
}

}  // namespace

RecordLayout describe_record(const btf* types, const std::string& record, const std::vector<const char*>& enums) {
  RecordLayout layout{.record = describe_struct(types, record), .enumerators = {}};
  for (const char* name : enums)
    for (auto& enumerator : describe_enum(types, name)) layout.enumerators.push_back(std::move(enumerator));
  return layout;
}

std::uint64_t fnv1a(const void* data, std::size_t bytes, std::uint64_t hash) {
  const auto* next = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; i++) hash = (hash ^ next[i]) * 0x100000001b3ULL;
  return hash;
}

std::uint64_t RecordLayout::hash() const {
  std::uint64_t hash = fnv1a(&record.bytes, sizeof(record.bytes));
  for (const Field& field : record.fields) {
    hash = fnv1a(field.name.c_str(), field.name.size() + 1, hash);
    hash = fnv1a(&field.offset, sizeof(field.offset), hash);
    hash = fnv1a(&field.bytes, sizeof(field.bytes), hash);
  }
  for (const auto& [name, value] : enumerators) {
    hash = fnv1a(name.c_str(), name.size() + 1, hash);
    hash = fnv1a(&value, sizeof(value), hash);
  }
  return hash;
}

// A line each: what it is, its name, its numbers.
std::string RecordLayout::to_text() const {
  std::ostringstream text;
  text << "record - " << record.bytes << '\n';
  for (const Field& field : record.fields) text << "field " << field.name << ' ' << field.offset << ' ' << field.bytes << '\n';
  for (const auto& [name, value] : enumerators) text << "enumerator " << name << ' ' << value << '\n';
  return text.str();
}

RecordLayout RecordLayout::from_text(const std::string& text) {
  RecordLayout layout;
  std::istringstream lines(text);
  std::string kind, name;
  std::uint32_t value = 0;
  while (lines >> kind >> name >> value) {
    std::uint32_t bytes = 0;
    if (kind == "record")
      layout.record.bytes = value;
    else if (kind == "field" && lines >> bytes)
      layout.record.fields.push_back({name, value, bytes});
    else if (kind == "enumerator")
      layout.enumerators.emplace_back(name, value);
    else
      break;
  }
  if (!lines.eof()) throw Error("ERR_PIN_LAYOUT", "read", "the pinned record layout", 0, "it is not one");
  return layout;
}

}  // namespace bpf2kafka
