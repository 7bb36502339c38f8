#include "exec_programs.h"

#include <bpf/bpf.h>
#include <signal.h>

#include <cstdarg>
#include <cstdio>
#include <fstream>

#include "error.h"

// objects.S
extern "C" const unsigned char exec_object_start[];
extern "C" const unsigned char exec_object_end[];

namespace bpf2kafka {

namespace {

// What libbpf warned of since the last failure: the verifier's reasons stand nowhere else. Worker threads
// have an addon each, but libbpf has one printer.
thread_local std::string warnings;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  const int bytes = std::vsnprintf(line, sizeof(line), format, arguments);
  if (warnings.size() < 4096) warnings += line;
  return bytes;
}

[[noreturn]] void fail_with_warnings(const std::string& operation, const std::string& subject, int number) {
  const std::string kept = std::exchange(warnings, {});
  fail(operation, subject, number, std::string(std::strerror(number)) + (kept.empty() ? "" : " (" + kept + ")"));
}

// The verifier gives up with EAGAIN when a signal is pending, and libbpf tries only so often: a profiler's timer
// can keep programs from loading at all.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Of the list of ranges, as in 0-3,8: the programs index by number, and numbers can have gaps.
__u32 highest_possible_cpu() {
  const char* path = "/sys/devices/system/cpu/possible";
  std::ifstream file(path);
  std::string ranges;
  if (!std::getline(file, ranges)) fail("read", path, errno);
  return static_cast<__u32>(std::stoul(ranges.substr(ranges.find_last_of("-,") + 1)));
}

std::size_t object_bytes() { return static_cast<std::size_t>(exec_object_end - exec_object_start); }

}  // namespace

ExecPrograms::ExecPrograms() {
  libbpf_set_print(keep_warning);
  warnings.clear();
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "bpf2kafka");
  object_.reset(bpf_object__open_mem(exec_object_start, object_bytes(), &options));
  if (!object_) fail_with_warnings("open", "the compiled exec programs", errno);
}

Enumerators ExecPrograms::record_enumerators() const {
  Enumerators all = describe_enum(types(), "exec_field");
  for (auto& limit : describe_enum(types(), "exec_limit")) all.push_back(std::move(limit));
  return all;
}

std::uint64_t ExecPrograms::hash() const { return fnv1a(exec_object_start, object_bytes()); }

bpf_program* ExecPrograms::program(const char* name) const {
  bpf_program* found = bpf_object__find_program_by_name(object_.get(), name);
  if (!found) throw Error("ERR_ADDON", "find the program", name, ENOENT);
  return found;
}

bpf_map* ExecPrograms::map(const char* name) const {
  bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  if (!found) throw Error("ERR_ADDON", "find the map", name, ENOENT);
  return found;
}

void ExecPrograms::load(const PinPaths& paths, std::uint64_t ring_bytes) {
  const __u32 cpus = highest_possible_cpu() + 1;
  bpf_map__set_max_entries(map("exec_handoff"), cpus);
  bpf_map__set_max_entries(map("exec_scratch"), cpus);
  bpf_map__set_max_entries(map("exec_ring"), static_cast<__u32>(ring_bytes));
  for (const char* name : {"host", "exec_stream", "exec_handoff", "exec_programs", "exec_ring", "exec_ring_control"})
    bpf_map__set_pin_path(map(name), paths.map(name).c_str());
  const SignalsBlocked signals;
  const int error = bpf_object__load(object_.get());
  if (error) fail_with_warnings("load", "the exec programs", -error);
}

void ExecPrograms::install() {
  const __u32 slot = 0;
  const int writer = bpf_program__fd(program("exec_record"));
  if (bpf_map_update_elem(bpf_map__fd(map("exec_programs")), &slot, &writer, BPF_ANY) != 0)
    fail("install", "the exec program in slot 0", errno);
}

void ExecPrograms::attach(const PinPaths& paths) {
  bpf_link* link = bpf_program__attach(program("exec_dispatch"));
  if (!link) fail_with_warnings("attach", "the dispatcher to sched_process_exec", errno);
  const int error = bpf_link__pin(link, paths.link().c_str());
  // Destroying a link that is not pinned detaches it: right, when pinning failed.
  bpf_link__destroy(link);
  if (error) fail("pin", paths.link(), -error);
}

}  // namespace bpf2kafka
