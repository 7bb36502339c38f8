// A compiled object file of bpf/, from its bytes in the addon to loaded programs.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>

namespace bpf2kafka {

class BpfObject {
 public:
  // what: for messages, as in "the exec programs".
  BpfObject(const unsigned char* start, const unsigned char* end, std::string what);

  const btf* types() const { return bpf_object__btf(object_.get()); }
  // Of the object file: tells whether what is loaded came from it.
  std::uint64_t hash() const { return hash_; }
  bpf_program* program(const char* name) const;
  bpf_map* map(const char* name) const;
  bool has_map(const char* name) const { return bpf_object__find_map_by_name(object_.get(), name) != nullptr; }
  // Gives a `const volatile` of the programs its value, before load.
  template <typename T>
  void set_constant(const char* name, const T& value) const {
    set_constant(name, &value, sizeof(value));
  }
  // Creates the maps that are not pinned, pins those that have a path, and loads the programs.
  void load();
  // The same on maps that go with the object, whatever their paths: whether this kernel takes the programs.
  void load_unpinned();
  // The same as fail, with what libbpf warned of: the verifier's reasons stand nowhere else.
  [[noreturn]] static void fail_with_warnings(const std::string& operation, const std::string& subject, int number);

 private:
  void set_constant(const char* name, const void* value, std::size_t bytes) const;

  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
  std::string what_;
  std::uint64_t hash_ = 0;
};

// The highest number that a CPU of this machine can have; numbers can have gaps.
std::uint32_t highest_possible_cpu();

}  // namespace bpf2kafka
