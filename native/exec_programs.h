// The compiled BPF programs, from the object file that is built into the addon to their pins.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "layout.h"
#include "pins.h"

namespace bpf2kafka {

class ExecPrograms {
 public:
  ExecPrograms();

  const btf* types() const { return bpf_object__btf(object_.get()); }
  // How records are laid out; equal hashes mean that they can be read alike.
  StructLayout record_layout() const { return describe_struct(types(), "exec_record"); }
  Enumerators record_enumerators() const;
  std::uint64_t layout_hash() const { return hash_of(record_layout(), record_enumerators()); }
  // Of the object file: tells whether what is pinned came from it.
  std::uint64_t hash() const;

  // Creates the maps that are not pinned yet, pins them, and loads the programs on them. A ring that is
  // pinned already must have ring_bytes.
  void load(const PinPaths& paths, std::uint64_t ring_bytes);

  // After load. Puts the program that writes records into slot 0, where every later run finds it.
  void install();
  // After install. Attaches the dispatcher and pins its link; the pin keeps it attached.
  void attach(const PinPaths& paths);

 private:
  bpf_program* program(const char* name) const;
  bpf_map* map(const char* name) const;

  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
};

}  // namespace bpf2kafka
