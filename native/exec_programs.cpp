#include "exec_programs.h"

#include <bpf/bpf.h>

#include "error.h"

// objects.S
extern "C" const unsigned char exec_object_start[];
extern "C" const unsigned char exec_object_end[];

namespace bpf2kafka {

ExecPrograms::ExecPrograms() : object_(exec_object_start, exec_object_end, "the exec programs") {}

Enumerators ExecPrograms::record_enumerators() const {
  Enumerators all;
  for (const char* name : {"exec_field", "exec_flag", "exec_args", "exec_limit"})
    for (auto& enumerator : describe_enum(object_.types(), name)) all.push_back(std::move(enumerator));
  return all;
}

std::uint64_t ExecPrograms::hash(const ExecSettings& settings) const {
  const std::uint32_t values[] = {settings.args, settings.env};
  return fnv1a(values, sizeof(values), object_.hash());
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
  for (const char* name : {"host", "exec_stream", "exec_handoff", "exec_programs", "exec_ring", "exec_ring_control"})
    bpf_map__set_pin_path(object_.map(name), paths.map(name).c_str());
  object_.load();
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
