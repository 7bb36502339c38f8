// The network interfaces of this process's network namespace, as the kernel tells of them (rtnetlink).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bpf2kafka {

struct Interface {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;    // physical, loopback, the kernel's word for a virtual one (veth, bridge, …), or unknown
  std::string parent;  // the one below it (VLAN) or the one it belongs to (bridge, bond); empty: none
  bool up = false;
  bool has_link_header = true;  // false: frames begin with the IP header
  // The XDP program that it has; 0: none, or one for each mode.
  std::uint32_t program_id = 0;
  bool has_program = false;
};

std::vector<Interface> list_interfaces();

// Inode number of the network namespace of this process.
std::uint64_t network_namespace();

}  // namespace bpf2kafka
