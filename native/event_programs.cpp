#include "event_programs.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "error.h"

// objects.S.in
extern "C" const unsigned char exit_object_start[];
extern "C" const unsigned char exit_object_end[];

namespace bpf2kafka {

namespace {

// A bare record takes a third of a typical whole one, so that this is room for a third as many.
constexpr std::uint64_t bare_ring_share = 8;

}  // namespace

EventPrograms::EventPrograms(std::string stream, const unsigned char* start, const unsigned char* end,
                             std::vector<const char*> enums)
    : stream_(std::move(stream)),
      enums_(std::move(enums)),
      object_(start, end, "the " + stream_ + " programs"),
      hash_(object_.hash()) {}

RecordLayout EventPrograms::layout() const { return describe_record(object_.types(), stream_ + "_record", enums_); }

void EventPrograms::load(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment) {
  set_up(paths, ring_bytes, attachment);
  object_.load();
  loaded();
}

void EventPrograms::try_load(std::uint64_t ring_bytes) {
  set_up(PinPaths(""), ring_bytes, 0);
  object_.load_unpinned();
  tried();
}

void EventPrograms::set_up(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment) {
  object_.set_constant("attachment", attachment);
  size_by_cpu(object_, map("_handoff"));
  pin(paths, "host");
  for (const char* suffix : {"_stream", "_handoff", "_programs"}) pin(paths, map(suffix));
  set_up_ring(object_, paths, map("_ring"), ring_bytes);
  if (has_bare_ring()) set_up_ring(object_, paths, map("_bare_ring"), bare_ring_bytes(ring_bytes));
  prepare(paths, ring_bytes, attachment);
}

void EventPrograms::install(const PinPaths& paths) {
  put_in_slot(object_, stream_ + "_record", map("_programs"));
  installed(paths);
}

void EventPrograms::attach(const PinPaths& paths) {
  const std::string name = stream_ + "_dispatch";
  const int pinned = bpf_program__pin(object_.program(name.c_str()), paths.dispatcher(stream_).c_str());
  if (pinned) fail("pin", paths.dispatcher(stream_), -pinned);
  attach_program(object_, name, "the dispatcher to sched_process_" + stream_, paths.link(stream_));
}

std::uint64_t EventPrograms::bare_ring_bytes(std::uint64_t ring_bytes) { return ring_bytes / bare_ring_share; }

void EventPrograms::size_by_cpu(BpfObject& object, const std::string& handoff) {
  const std::uint32_t cpus = highest_possible_cpu() + 1;
  bpf_map__set_max_entries(object.map(handoff.c_str()), cpus);
  bpf_map__set_max_entries(object.map("scratch_slots"), cpus);
}

void EventPrograms::set_up_ring(BpfObject& object, const PinPaths& paths, const std::string& name, std::uint64_t bytes) {
  bpf_map__set_max_entries(object.map(name.c_str()), static_cast<__u32>(bytes));
  pin_map(object, paths, name);
  pin_map(object, paths, name + "_control");
}

void EventPrograms::pin_map(BpfObject& object, const PinPaths& paths, const std::string& name) {
  bpf_map__set_pin_path(object.map(name.c_str()), paths.map(name).c_str());
}

void EventPrograms::put_in_slot(BpfObject& object, const std::string& program, const std::string& programs) {
  const __u32 slot = 0;
  const int writer = bpf_program__fd(object.program(program.c_str()));
  if (bpf_map_update_elem(bpf_map__fd(object.map(programs.c_str())), &slot, &writer, BPF_ANY) != 0)
    fail("install", program + " in slot 0", errno);
}

void EventPrograms::attach_program(BpfObject& object, const std::string& program, const std::string& what,
                                   const std::string& link_path) {
  bpf_link* link = bpf_program__attach(object.program(program.c_str()));
  if (!link) BpfObject::fail_with_warnings("attach", what, errno);
  const int error = bpf_link__pin(link, link_path.c_str());
  // Destroying a link that is not pinned detaches it: right, when pinning failed.
  bpf_link__destroy(link);
  if (error) fail("pin", link_path, -error);
}

ExitPrograms::ExitPrograms() : EventPrograms("exit", exit_object_start, exit_object_end, {"exit_field"}) {
  set("page_bytes", static_cast<__u64>(::sysconf(_SC_PAGESIZE)));
}

// Those of the stream of execs: what a rule kept out has no exit either.
void ExitPrograms::prepare(const PinPaths& paths, std::uint64_t, std::uint64_t) {
  for (const char* name : {"exec_rules", "exec_marks"}) pin(paths, name);
}

}  // namespace bpf2kafka
