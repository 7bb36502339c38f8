// The programs of the stream "exec": what they capture, and what rules keep out.
#pragma once

#include <optional>
#include <vector>

#include "event_programs.h"
#include "exec_rules.h"

namespace bpf2kafka {

struct ExecSettings {
  exec_args args = EXEC_ARGS_FULL;  // how much of argv is captured
  bool env = false;                 // the environment too
  bool failed = false;              // execs that fail too
  bool idle = false;                // none: the programs are there for their maps, and nothing is attached
  std::vector<ExecRule> excluded;   // what is not captured
};

class ExecPrograms : public EventPrograms {
 public:
  explicit ExecPrograms(const ExecSettings& settings);

 private:
  void prepare(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment) override;
  void loaded() override;
  void tried() override;
  void installed(const PinPaths& paths) override;

  void open_failed();
  // In each object the tables that its programs look rules up in.
  void size_tables(BpfObject& object) const;
  void enter_rules(BpfObject& object) const;

  std::vector<ExecRule> excluded_;
  exec_args args_;
  bool wants_failed_;
  bool idle_;
  std::optional<BpfObject> failed_;  // when failed execs are captured, or were until now
};

}  // namespace bpf2kafka
