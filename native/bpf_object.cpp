#include "bpf_object.h"

#include <bpf/btf.h>
#include <signal.h>

#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <vector>

#include "error.h"
#include "layout.h"

namespace bpf2kafka {

namespace {

// What libbpf warned of since the last failure. Worker threads have an addon each, but libbpf has one printer.
thread_local std::string warnings;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  const int bytes = std::vsnprintf(line, sizeof(line), format, arguments);
  if (warnings.size() < 4096) warnings += line;
  return bytes;
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

}  // namespace

BpfObject::BpfObject(const unsigned char* start, const unsigned char* end, std::string what) : what_(std::move(what)) {
  const auto bytes = static_cast<std::size_t>(end - start);
  libbpf_set_print(keep_warning);
  warnings.clear();
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "bpf2kafka");
  object_.reset(bpf_object__open_mem(start, bytes, &options));
  if (!object_) fail_with_warnings("open", what_, errno);
  hash_ = fnv1a(start, bytes);
}

bpf_program* BpfObject::program(const char* name) const {
  bpf_program* found = bpf_object__find_program_by_name(object_.get(), name);
  if (!found) throw Error("ERR_ADDON", "find the program", name, ENOENT);
  return found;
}

bpf_map* BpfObject::map(const char* name) const {
  bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  if (!found) throw Error("ERR_ADDON", "find the map", name, ENOENT);
  return found;
}

void BpfObject::set_constant(const char* name, const void* value, std::size_t bytes) const {
  bpf_map* section = map(".rodata");
  std::size_t section_bytes = 0;
  const auto* initial = static_cast<const char*>(bpf_map__initial_value(section, &section_bytes));
  const int id = btf__find_by_name_kind(types(), ".rodata", BTF_KIND_DATASEC);
  const btf_type* variables = id < 0 ? nullptr : btf__type_by_id(types(), static_cast<__u32>(id));
  for (int i = 0; initial && variables && i < btf_vlen(variables); i++) {
    const btf_var_secinfo& variable = btf_var_secinfos(variables)[i];
    const btf_type* type = btf__type_by_id(types(), variable.type);
    if (name != std::string(btf__name_by_offset(types(), type->name_off)) || variable.size != bytes) continue;
    std::vector<char> changed(initial, initial + section_bytes);
    std::memcpy(changed.data() + variable.offset, value, bytes);
    const int error = bpf_map__set_initial_value(section, changed.data(), changed.size());
    if (error) fail("set the constant", name, -error);
    return;
  }
  throw Error("ERR_ADDON", "find the constant", name, ENOENT);
}

void BpfObject::load() {
  const SignalsBlocked signals;
  const int error = bpf_object__load(object_.get());
  if (error) fail_with_warnings("load", what_, -error);
}

void BpfObject::load_unpinned() {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) bpf_map__set_pin_path(map, nullptr);
  load();
}

void BpfObject::fail_with_warnings(const std::string& operation, const std::string& subject, int number) {
  const std::string kept = std::exchange(warnings, {});
  fail(operation, subject, number, std::string(std::strerror(number)) + (kept.empty() ? "" : " (" + kept + ")"));
}

// Of the list of ranges, as in 0-3,8.
std::uint32_t highest_possible_cpu() {
  const char* path = "/sys/devices/system/cpu/possible";
  std::ifstream file(path);
  std::string ranges;
  if (!std::getline(file, ranges)) fail("read", path, errno);
  return static_cast<std::uint32_t>(std::stoul(ranges.substr(ranges.find_last_of("-,") + 1)));
}

}  // namespace bpf2kafka
