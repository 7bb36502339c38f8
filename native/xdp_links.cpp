#include "xdp_links.h"

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <unistd.h>

#include "error.h"

namespace bpf2kafka {

namespace {

// False when its interface is gone, or the link was detached by force.
bool is_attached(const Descriptor& link) {
  bpf_link_info info{};
  __u32 bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(link.get(), &info, &bytes) != 0) fail("inspect", "the link of an interface", errno);
  return info.xdp.ifindex != 0;
}

// Returns 0 or an errno. The pin keeps the program attached when the descriptor is closed.
int link_and_pin(const std::string& path, int program, std::uint32_t index, __u32 flags) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
  const Descriptor link(bpf_link_create(program, static_cast<int>(index), BPF_XDP, &options));
  if (!link) return errno;
  if (bpf_obj_pin(link.get(), path.c_str()) != 0) fail("pin", path, errno);
  return 0;
}

std::string reason_of(int number) {
  switch (number) {
    case EOPNOTSUPP: return "it has no XDP of its own";
    case EBUSY: return "it has another XDP program";
    case EEXIST: return "an interface above it has an XDP program";
    case ENODEV: return "it is gone";
    case EINVAL: return "it refuses with its present settings (MTU, queues or offloads)";
    case ERANGE: return "its MTU is too large";
    default: return std::strerror(number);
  }
}

}  // namespace

std::vector<std::uint32_t> XdpLinks::attached() const {
  std::vector<std::uint32_t> indices;
  for (const std::uint32_t index : paths_.packet_links()) {
    const Descriptor link = open_pinned(paths_.packet_link(index));
    if (!link) continue;
    if (is_attached(link))
      indices.push_back(index);
    else
      unpin(index);
  }
  return indices;
}

Attached XdpLinks::attach(std::uint32_t index, const std::string& name, int program) const {
  const std::string path = paths_.packet_link(index);
  const int native = link_and_pin(path, program, index, XDP_FLAGS_DRV_MODE);
  if (native == 0) return {.mode = PACKET_MODE_NATIVE, .native_refusal = {}};
  const int generic = link_and_pin(path, program, index, XDP_FLAGS_SKB_MODE);
  if (generic == 0) return {.mode = PACKET_MODE_GENERIC, .native_refusal = reason_of(native)};
  fail("count packets on", name, generic, "native: " + reason_of(native) + "; generic: " + reason_of(generic));
}

void XdpLinks::update(int program) const {
  for (const std::uint32_t index : attached()) {
    const Descriptor link = open_pinned(paths_.packet_link(index));
    // An interface that goes in this moment takes its program with it.
    if (link && bpf_link_update(link.get(), program, nullptr) != 0 && is_attached(link))
      fail("replace", "the packet program of interface " + std::to_string(index), errno);
  }
}

void XdpLinks::detach(std::uint32_t index) const {
  const Descriptor link = open_pinned(paths_.packet_link(index));
  // Unpinning alone would take a work queue's turn to detach.
  if (link && bpf_link_detach(link.get()) != 0 && is_attached(link))
    fail("take the packet program off", "interface " + std::to_string(index), errno);
  unpin(index);
}

// One to whom the pins were only given may not: then the next start does it that may.
void XdpLinks::unpin(std::uint32_t index) const {
  if (::access(paths_.layout().c_str(), W_OK) == 0) remove_pin(paths_.packet_link(index));
}

void XdpLinks::detach_all() const {
  for (const std::uint32_t index : paths_.packet_links()) detach(index);
}

}  // namespace bpf2kafka
