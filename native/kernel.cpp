#include "kernel.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

#ifndef TRACEFS_MAGIC
#define TRACEFS_MAGIC 0x74726163
#endif

namespace bpf2kafka {

namespace {

std::string kernel_release() {
  utsname name{};
  ::uname(&name);
  return name.release;
}

[[noreturn]] void unsupported(const std::string& feature) {
  throw Error("ERR_KERNEL_UNSUPPORTED", "capture on kernel", kernel_release(), 0, feature);
}

bool is_mounted(const char* path, long magic) {
  struct statfs status{};
  return ::statfs(path, &status) == 0 && static_cast<long>(status.f_type) == magic;
}

// *(u64 *)(r10 - 8) = 0; fetch-and-add it; return. The verifier of a kernel before 5.12 refuses it.
bool has_fetching_atomics() {
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, 0},
      {BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_1, -8, 0},
      {BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_10, BPF_REG_1, -8, BPF_ADD | BPF_FETCH},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  Descriptor fd(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bpf2kafka_probe", "GPL", program,
                              sizeof(program) / sizeof(program[0]), nullptr));
  if (fd) return true;
  const int number = errno;
  if (number == EPERM || number == EACCES)
    fail("load BPF programs", "", number, "this process lacks the capability CAP_BPF, or the kernel is locked down");
  return false;
}

}  // namespace

void require_kernel_features() {
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0)
    unsupported("it has no BTF (/sys/kernel/btf/vmlinux); it must be built with CONFIG_DEBUG_INFO_BTF=y");
  if (!has_fetching_atomics())
    unsupported("its BPF has no atomic operations that fetch (Linux 5.12 brought them); 5.15 or newer is needed");
}

void mount_kernel_file_systems(const std::string& pin_path) {
  const std::string bpffs = "/sys/fs/bpf";
  const bool below = pin_path.rfind(bpffs + "/", 0) == 0;
  if (below && !is_mounted(bpffs.c_str(), BPF_FS_MAGIC) &&
      ::mount("bpf", bpffs.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    throw Error("ERR_MOUNT", "mount bpffs on", bpffs, errno);

  const char* tracefs = "/sys/kernel/tracing";
  if (!is_mounted(tracefs, TRACEFS_MAGIC))
    (void)::mount("tracefs", tracefs, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
}

Barrier::Barrier() : inner_(bpf_map_create(BPF_MAP_TYPE_ARRAY, "b2k_inner", 4, 4, 1, nullptr)) {
  if (!inner_) fail("create", "the inner map of the barrier", errno);
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(inner_.get()));
  outer_ = Descriptor(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "b2k_barrier", 4, 4, 1, &options));
  if (!outer_) fail("create", "the map of the barrier", errno);
}

Barrier::Barrier(const PinPaths& paths) : inner_(open_pinned(paths.barrier_inner())), outer_(open_pinned(paths.barrier())) {
  if (!inner_ || !outer_) throw not_attached(paths.directory(), "the capture was begun for a reader with capabilities");
}

void Barrier::pin(const PinPaths& paths) const {
  if (is_there(paths.barrier())) return;
  // What a start left that was killed in between.
  remove_pin(paths.barrier_inner());
  if (bpf_obj_pin(inner_.get(), paths.barrier_inner().c_str()) != 0) fail("pin", paths.barrier_inner(), errno);
  if (bpf_obj_pin(outer_.get(), paths.barrier().c_str()) != 0) fail("pin", paths.barrier(), errno);
}

void Barrier::wait() const {
  const __u32 key = 0;
  const int value = inner_.get();
  if (bpf_map_update_elem(outer_.get(), &key, &value, BPF_ANY) != 0) fail("update", "the map of the barrier", errno);
}

namespace {

unsigned long long nanoseconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<unsigned long long>(now.tv_sec) * 1000000000ULL + static_cast<unsigned long long>(now.tv_nsec);
}

}  // namespace

unsigned long long boot_nanoseconds() { return nanoseconds_of(CLOCK_BOOTTIME); }
unsigned long long monotonic_nanoseconds() { return nanoseconds_of(CLOCK_MONOTONIC); }

bool clock_is_synchronised() {
  timex state{};
  const int result = ::adjtimex(&state);
  if (result < 0) fail("ask for the state of", "the clock", errno);
  return result != TIME_ERROR && !(state.status & STA_UNSYNC);
}

}  // namespace bpf2kafka
