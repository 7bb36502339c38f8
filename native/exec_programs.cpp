#include "exec_programs.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>

#include "error.h"

// objects.S
extern "C" const unsigned char exec_object_start[];
extern "C" const unsigned char exec_object_end[];

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

ExecPrograms::ExecPrograms() : object_(exec_object_start, exec_object_end, "the exec programs") {}

Enumerators ExecPrograms::record_enumerators() const {
  Enumerators all;
  for (const char* name : {"exec_field", "exec_flag", "exec_args", "exec_limit"})
    for (auto& enumerator : describe_enum(object_.types(), name)) all.push_back(std::move(enumerator));
  return all;
}

std::uint64_t ExecPrograms::hash(const ExecSettings& settings) const {
  const std::uint32_t values[] = {settings.args, settings.env};
  std::uint64_t hash = fnv1a(values, sizeof(values), object_.hash());
  for (const ExecRule& rule : settings.excluded) {
    const std::string name = whole(rule.name());
    hash = fnv1a(name.data(), name.size(), hash);
  }
  return hash;
}

void ExecPrograms::load(const PinPaths& paths, std::uint64_t ring_bytes, const ExecSettings& settings,
                        std::uint64_t attachment) {
  object_.set_constant("attachment", attachment);
  object_.set_constant<__u32>("args_mode", settings.args);
  object_.set_constant("wants_env", settings.env);
  const std::uint32_t cpus = highest_possible_cpu() + 1;
  bpf_map__set_max_entries(object_.map("exec_handoff"), cpus);
  bpf_map__set_max_entries(object_.map("exec_scratch"), cpus);
  bpf_map__set_max_entries(object_.map("exec_ring"), static_cast<__u32>(ring_bytes));
  for (const char* name :
       {"host", "exec_stream", "exec_handoff", "exec_programs", "exec_rules", "exec_ring", "exec_ring_control"})
    bpf_map__set_pin_path(object_.map(name), paths.map(name).c_str());
  limit(settings.excluded);
  object_.load();
  exclude(settings.excluded);
}

void ExecPrograms::limit(const std::vector<ExecRule>& excluded) {
  std::uint32_t rules[EXEC_RULE_KINDS] = {};
  for (const ExecRule& rule : excluded) rules[rule.kind]++;
  for (std::size_t kind = 0; kind < EXEC_RULE_KINDS; kind++) {
    object_.set_constant(kinds[kind].constant, rules[kind] > 0);
    // Two keys for a cgroup.
    bpf_map__set_max_entries(object_.map(kinds[kind].map), std::max(1U, 2 * rules[kind]));
  }
}

void ExecPrograms::exclude(const std::vector<ExecRule>& excluded) const {
  ExecRuleTable table(bpf_map__fd(object_.map("exec_rules")));
  for (const ExecRule& rule : excluded) {
    const int map = bpf_map__fd(object_.map(kinds[rule.kind].map));
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

void ExecPrograms::install() {
  const __u32 slot = 0;
  const int writer = bpf_program__fd(object_.program("exec_record"));
  if (bpf_map_update_elem(bpf_map__fd(object_.map("exec_programs")), &slot, &writer, BPF_ANY) != 0)
    fail("install", "the exec program in slot 0", errno);
}

void ExecPrograms::attach(const PinPaths& paths) {
  const int pinned = bpf_program__pin(object_.program("exec_dispatch"), paths.dispatcher().c_str());
  if (pinned) fail("pin", paths.dispatcher(), -pinned);
  bpf_link* link = bpf_program__attach(object_.program("exec_dispatch"));
  if (!link) BpfObject::fail_with_warnings("attach", "the dispatcher to sched_process_exec", errno);
  const int error = bpf_link__pin(link, paths.link().c_str());
  // Destroying a link that is not pinned detaches it: right, when pinning failed.
  bpf_link__destroy(link);
  if (error) fail("pin", paths.link(), -error);
}

}  // namespace bpf2kafka
