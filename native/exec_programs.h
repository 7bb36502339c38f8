// The compiled exec programs, from the object file that is built into the addon to their pins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi.h"
#include "bpf_object.h"
#include "exec_rules.h"
#include "layout.h"
#include "pins.h"

namespace bpf2kafka {

struct ExecSettings {
  exec_args args = EXEC_ARGS_FULL;  // how much of argv is captured
  bool env = false;                 // the environment too
  std::vector<ExecRule> excluded;   // what is not captured
};

class ExecPrograms {
 public:
  ExecPrograms();

  // How records are laid out; equal hashes mean that they can be read alike.
  StructLayout record_layout() const { return describe_struct(object_.types(), "exec_record"); }
  Enumerators record_enumerators() const;
  std::uint64_t layout_hash() const { return hash_of(record_layout(), record_enumerators()); }
  // Tells whether what is pinned came from these, with these settings.
  std::uint64_t hash(const ExecSettings& settings) const;

  // Creates the maps that are not pinned yet, pins them, enters the rules, and loads the programs on them. A ring that is
  // pinned already must have ring_bytes. attachment: number of the dispatcher, host_control.exec_attachment.
  void load(const PinPaths& paths, std::uint64_t ring_bytes, const ExecSettings& settings, std::uint64_t attachment);

  // After load. Puts the program that writes records into slot 0, where every later run finds it.
  void install();
  // After install. Attaches the dispatcher and pins it and its link; the link's pin keeps it attached.
  void attach(const PinPaths& paths);

 private:
  void limit(const std::vector<ExecRule>& excluded);
  void exclude(const std::vector<ExecRule>& excluded) const;

  BpfObject object_;
};

}  // namespace bpf2kafka
