// What keeps execs, and the exits that follow them, out of the rings: the rules, and the pinned table that counts for each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "abi.h"
#include "descriptor.h"

namespace bpf2kafka {

struct ExecRule {
  exec_rule_kind kind = EXEC_RULE_EXE;
  // EXEC_RULE_EXE: an absolute path, or the beginning of paths and a *. EXEC_RULE_UID: a number. EXEC_RULE_CGROUP: the
  // absolute path of a cgroup. A path has less than EXEC_RULE_PATH_BYTES - 1 bytes.
  std::string value;

  // As in exec_rule.name.
  std::string name() const;
};

// Events by the name of the rule that kept them out; only where there are any.
using Filtered = std::map<std::string, std::uint64_t>;

Filtered operator+(Filtered a, const Filtered& b);

// Which events: &exec_rule::execs or &exec_rule::exits.
using RuleCounts = __u64 (exec_rule::*)[2];

class ExecRuleTable {
 public:
  ExecRuleTable() = default;
  // Of the map exec_rules.
  explicit ExecRuleTable(int fd);

  // The entry that counts for the rule: its own, a new one, or that of its kind when none is left.
  std::uint32_t enter(const ExecRule& rule);

  // Totals since attach_id of the epochs of this parity.
  Filtered filtered(RuleCounts counts, std::uint64_t parity) const;
  Filtered filtered(RuleCounts counts) const { return filtered(counts, 0) + filtered(counts, 1); }

 private:
  exec_rule& at(std::size_t entry) const { return mapping_.as<exec_rule>()[entry]; }

  Mapping mapping_;
};

}  // namespace bpf2kafka
