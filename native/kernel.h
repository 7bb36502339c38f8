// What this kernel has, and the file systems that are needed from it.
#pragma once

#include <string>

#include "descriptor.h"
#include "pins.h"

namespace bpf2kafka {

// Throws ERR_KERNEL_UNSUPPORTED, naming the feature that is missing and the kernel that brought it.
void require_kernel_features();

// Mounts bpffs and tracefs where they are missing. Only bpffs must be there: tracefs is left alone when
// it cannot be mounted.
void mount_kernel_file_systems(const std::string& pin_path);

// Waits for running programs. The kernel does so when an element of a map of maps is replaced
// (kernel/bpf/syscall.c, maybe_wait_bpf_programs), so that user space can know that the old map is idle.
class Barrier {
 public:
  Barrier();
  // That of a capture that was attached for others to read: it takes no right. Throws ERR_NOT_ATTACHED when there is none.
  explicit Barrier(const PinPaths& paths);
  // Leaves it to those, unless one is there already.
  void pin(const PinPaths& paths) const;
  // Returns when every run of every program that had begun before has ended; takes some 10 ms.
  void wait() const;

 private:
  Descriptor inner_;
  Descriptor outer_;
};

// CLOCK_BOOTTIME, nanoseconds.
unsigned long long boot_nanoseconds();
// CLOCK_MONOTONIC, nanoseconds: without the time that the host slept.
unsigned long long monotonic_nanoseconds();

// Whether something disciplines the wall clock, as the kernel was told by it (adjtimex(2)); needs no right.
bool clock_is_synchronised();

}  // namespace bpf2kafka
