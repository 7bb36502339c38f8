#include "exec_programs.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "error.h"

// objects.S.in
extern "C" const unsigned char exec_object_start[];
extern "C" const unsigned char exec_object_end[];
extern "C" const unsigned char exec_failed_object_start[];
extern "C" const unsigned char exec_failed_object_end[];

namespace bpf2kafka {

namespace {

// By enum exec_rule_kind.
constexpr struct {
  const char* constant;  // whether there are rules of this kind
  const char* map;
} kinds[] = {
    {"excludes_exe", "excluded_exes"},
    {"excludes_uid", "excluded_uids"},
    {"excludes_cgroup", "excluded_cgroups"},
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == EXEC_RULE_KINDS);

static_assert(offsetof(exec_record, unread) == EXEC_BARE_BYTES);

// As struct path_prefix (bpf/scratch.h).
struct PathPrefix {
  std::uint32_t bits = 0;
  char text[EXEC_RULE_PATH_BYTES] = {};
};

PathPrefix prefix_of(std::string_view text) {
  PathPrefix prefix;
  if (text.size() > sizeof(prefix.text)) throw Error("ERR_ADDON", "exclude", std::string(text), ENAMETOOLONG);
  prefix.bits = static_cast<std::uint32_t>(text.size() * 8);
  std::memcpy(prefix.text, text.data(), text.size());
  return prefix;
}

// A whole path ends with its NUL.
std::string whole(const std::string& path) { return path + '\0'; }

void insert(int map, const void* key, std::uint32_t entry) {
  if (bpf_map_update_elem(map, key, &entry, BPF_ANY) != 0) fail("enter", "a rule for execs", errno);
}

void insert_path(int map, std::string_view text, std::uint32_t entry) {
  const PathPrefix prefix = prefix_of(text);
  insert(map, &prefix, entry);
}

}  // namespace

ExecPrograms::ExecPrograms(const ExecSettings& settings)
    : EventPrograms("exec", exec_object_start, exec_object_end, {"exec_field", "exec_flag", "exec_args", "exec_limit"}),
      excluded_(settings.excluded),
      args_(settings.args),
      wants_failed_(settings.failed),
      idle_(settings.idle) {
  set<__u32>("args_mode", settings.args);
  set("wants_env", settings.env);
  for (const ExecRule& rule : excluded_) {
    const std::string name = whole(rule.name());
    mix(name.data(), name.size());
  }
  if (!settings.failed) return;
  open_failed();
  const std::uint64_t hash = failed_->hash();
  mix(&hash, sizeof(hash));
}

void ExecPrograms::open_failed() {
  failed_.emplace(exec_failed_object_start, exec_failed_object_end, "the programs of failed execs");
  failed_->set_constant("args_mode", static_cast<__u32>(args_));
}

void ExecPrograms::prepare(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment) {
  for (const char* name : {"exec_rules", "exec_marks"}) pin(paths, name);
  size_tables(object());
  // One that was attached runs for a while after its link is gone, and must not write to an earlier ring.
  if (!wants_failed_ && is_there(paths.link("exec_failed"))) open_failed();
  if (!failed_) return;
  failed_->set_constant("attachment", attachment);
  size_by_cpu(*failed_, "exec_failed_handoff");
  for (const char* name : {"host", "exec_stream", "exec_rules", "exec_failed_handoff", "exec_failed_programs"})
    pin_map(*failed_, paths, name);
  set_up_ring(*failed_, paths, "exec_ring", ring_bytes);
  set_up_ring(*failed_, paths, "exec_bare_ring", bare_ring_bytes(ring_bytes));
  size_tables(*failed_);
}

void ExecPrograms::size_tables(BpfObject& object) const {
  std::uint32_t rules[EXEC_RULE_KINDS] = {};
  for (const ExecRule& rule : excluded_) rules[rule.kind]++;
  for (std::size_t kind = 0; kind < EXEC_RULE_KINDS; kind++) {
    object.set_constant(kinds[kind].constant, rules[kind] > 0);
    // Two keys for a cgroup.
    bpf_map__set_max_entries(object.map(kinds[kind].map), std::max(1U, 2 * rules[kind]));
  }
}

void ExecPrograms::tried() {
  if (failed_) failed_->load_unpinned();
}

void ExecPrograms::loaded() {
  enter_rules(object());
  if (!failed_) return;
  failed_->load();
  enter_rules(*failed_);
}

// The program of forks never changes, so once for an attach; before the first exec can be kept out.
void ExecPrograms::installed(const PinPaths& paths) {
  if (idle_) return;
  const std::string forks = paths.link("exec_fork");
  if (!is_there(forks)) attach_program(object(), "exec_fork", "the program that marks forks to sched_process_fork", forks);

  if (!failed_) return;
  const std::string failures = paths.link("exec_failed");
  put_in_slot(*failed_, "exec_failed_record", "exec_failed_programs");
  if (!wants_failed_) return remove_pin(failures);
  if (!is_there(failures))
    attach_program(*failed_, "exec_failed_dispatch", "the dispatcher of failed execs to sys_exit", failures);
}

void ExecPrograms::enter_rules(BpfObject& object) const {
  ExecRuleTable table(bpf_map__fd(object.map("exec_rules")));
  for (const ExecRule& rule : excluded_) {
    const int map = bpf_map__fd(object.map(kinds[rule.kind].map));
    const std::uint32_t entry = table.enter(rule);
    switch (rule.kind) {
      case EXEC_RULE_UID: {
        const auto uid = static_cast<std::uint32_t>(std::stoul(rule.value));
        insert(map, &uid, entry);
        break;
      }
      case EXEC_RULE_CGROUP:
        insert_path(map, whole(rule.value), entry);
        insert_path(map, rule.value + '/', entry);
        break;
      default:
        if (rule.value.ends_with('*'))
          insert_path(map, std::string_view(rule.value).substr(0, rule.value.size() - 1), entry);
        else
          insert_path(map, whole(rule.value), entry);
    }
  }
}

}  // namespace bpf2kafka
