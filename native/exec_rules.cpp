#include "exec_rules.h"

#include <cstring>

namespace bpf2kafka {

namespace {

// By enum exec_rule_kind.
const char* const kind_names[] = {"exclude_exe", "exclude_uid", "exclude_cgroup"};
static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == EXEC_RULE_KINDS);
static_assert(EXEC_RULE_NAME_BYTES >= sizeof("exclude_cgroup:") + EXEC_RULE_PATH_BYTES);

std::string_view name_of(const exec_rule& rule) { return {rule.name, ::strnlen(rule.name, sizeof(rule.name))}; }

void set_name(exec_rule& rule, const std::string& name) {
  if (name.size() >= sizeof(rule.name)) throw Error("ERR_ADDON", "name the rule", name, ENAMETOOLONG);
  std::memcpy(rule.name, name.c_str(), name.size() + 1);
}

}  // namespace

std::string ExecRule::name() const { return std::string(kind_names[kind]) + ":" + value; }

Filtered operator+(Filtered a, const Filtered& b) {
  for (const auto& [name, events] : b) a[name] += events;
  return a;
}

ExecRuleTable::ExecRuleTable(int fd)
    : mapping_(fd, EXEC_RULES * sizeof(exec_rule), PROT_READ | PROT_WRITE, 0, "the table of rules") {
  for (std::size_t kind = 0; kind < EXEC_RULE_KINDS; kind++) set_name(at(kind), kind_names[kind]);
}

std::uint32_t ExecRuleTable::enter(const ExecRule& rule) {
  const std::string name = rule.name();
  for (std::uint32_t entry = EXEC_RULE_KINDS; entry < EXEC_RULES; entry++) {
    const std::string_view known = name_of(at(entry));
    if (known.empty()) set_name(at(entry), name);
    if (known.empty() || known == name) return entry;
  }
  return rule.kind;
}

Filtered ExecRuleTable::filtered(RuleCounts counts, std::uint64_t parity) const {
  Filtered all;
  for (std::size_t entry = 0; mapping_.as<exec_rule>() && entry < EXEC_RULES; entry++) {
    const std::uint64_t events = __atomic_load_n(&(at(entry).*counts)[parity], __ATOMIC_RELAXED);
    if (events > 0) all[std::string(name_of(at(entry)))] += events;
  }
  return all;
}

}  // namespace bpf2kafka
