// The programs of the stream "exec": what they capture, and what rules keep out.
#pragma once

#include <vector>

#include "event_programs.h"
#include "exec_rules.h"

namespace bpf2kafka {

struct ExecSettings {
  exec_args args = EXEC_ARGS_FULL;  // how much of argv is captured
  bool env = false;                 // the environment too
  std::vector<ExecRule> excluded;   // what is not captured
};

class ExecPrograms : public EventPrograms {
 public:
  explicit ExecPrograms(const ExecSettings& settings);

 private:
  void prepare(const PinPaths& paths) override;
  void loaded() override;
  void installed(const PinPaths& paths) override;

  std::vector<ExecRule> excluded_;
};

}  // namespace bpf2kafka
