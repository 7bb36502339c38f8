// Structs and enums of bpf/abi.h, as clang described them in the BTF of the compiled programs.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

struct btf;

namespace bpf2kafka {

// Of a struct inside the struct there is one field a member, named `outer.inner`. A struct in an array of no length
// carries only its type: its fields are there too, with offsets from its own start.
struct Field {
  std::string name;
  std::uint32_t offset;  // bytes from the start of the struct
  std::uint32_t bytes;
};

struct StructLayout {
  std::uint32_t bytes = 0;
  std::vector<Field> fields;
};

using Enumerators = std::vector<std::pair<std::string, std::uint32_t>>;

// How records of one version are laid out: a struct, and the enums that belong to it.
struct RecordLayout {
  StructLayout record;
  Enumerators enumerators;

  // Equal hashes mean that they can be read alike.
  std::uint64_t hash() const;
  // As it is pinned beside the ring of such records, for a version that has another one.
  std::string to_text() const;
  // Throws ERR_PIN_LAYOUT for what to_text does not write.
  static RecordLayout from_text(const std::string& text);
};

RecordLayout describe_record(const btf* types, const std::string& record, const std::vector<const char*>& enums);

std::uint64_t fnv1a(const void* data, std::size_t bytes, std::uint64_t hash = 0xcbf29ce484222325ULL);

}  // namespace bpf2kafka
