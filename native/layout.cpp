#include "layout.h"

#include <bpf/btf.h>

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

}  // namespace

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

std::uint64_t fnv1a(const void* data, std::size_t bytes, std::uint64_t hash) {
  const auto* next = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; i++) hash = (hash ^ next[i]) * 0x100000001b3ULL;
  return hash;
}

std::uint64_t hash_of(const StructLayout& layout, const Enumerators& enumerators) {
  std::uint64_t hash = fnv1a(&layout.bytes, sizeof(layout.bytes));
  for (const Field& field : layout.fields) {
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

}  // namespace bpf2kafka
