#include "interfaces.h"

#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/if.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <map>
#include <memory>

#include "descriptor.h"
#include "error.h"

namespace bpf2kafka {

namespace {

constexpr const char* subject = "the network interfaces";

// What an interface says of others, by index: names are known only when all have been read.
struct Relations {
  std::uint32_t master = 0;  // bridge or bond
  std::uint32_t link = 0;    // the one below, in this namespace
};

Descriptor request_links() {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) fail("list", subject, errno);
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.ifi_family = AF_UNSPEC;
  if (::send(socket.get(), &request, sizeof(request), 0) < 0) fail("list", subject, errno);
  return socket;
}

std::string text_of(const rtattr* attribute) {
  const auto* text = static_cast<const char*>(RTA_DATA(attribute));
  return std::string(text, ::strnlen(text, RTA_PAYLOAD(attribute)));
}

template <typename T>
T value_of(const rtattr* attribute) {
  T value{};
  if (RTA_PAYLOAD(attribute) >= sizeof(T)) std::memcpy(&value, RTA_DATA(attribute), sizeof(T));
  return value;
}

template <typename Each>
void for_each_attribute(const rtattr* attribute, int bytes, Each each) {
  for (; RTA_OK(attribute, bytes); attribute = RTA_NEXT(attribute, bytes))
    each(attribute->rta_type & NLA_TYPE_MASK, attribute);
}

template <typename Each>
void for_each_nested(const rtattr* attribute, Each each) {
  for_each_attribute(static_cast<const rtattr*>(RTA_DATA(attribute)), static_cast<int>(RTA_PAYLOAD(attribute)), each);
}

void read_program(const rtattr* nested, Interface& interface) {
  for_each_nested(nested, [&](int type, const rtattr* attribute) {
    if (type == IFLA_XDP_ATTACHED) interface.has_program = value_of<std::uint8_t>(attribute) != XDP_ATTACHED_NONE;
    if (type == IFLA_XDP_PROG_ID) interface.program_id = value_of<std::uint32_t>(attribute);
  });
}

std::pair<Interface, Relations> read_link(const nlmsghdr* message) {
  const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  Interface interface;
  Relations relations;
  interface.index = static_cast<std::uint32_t>(body->ifi_index);
  interface.up = (body->ifi_flags & IFF_UP) != 0;
  // Types whose frames XDP sees with a header of 14 bytes; the others that can have a program have none.
  interface.has_link_header = body->ifi_type == ARPHRD_ETHER || body->ifi_type == ARPHRD_LOOPBACK;
  bool on_a_bus = false;
  bool link_is_elsewhere = false;
  for_each_attribute(IFLA_RTA(body), static_cast<int>(IFLA_PAYLOAD(message)), [&](int type, const rtattr* attribute) {
    switch (type) {
      case IFLA_IFNAME: interface.name = text_of(attribute); break;
      case IFLA_MASTER: relations.master = value_of<std::uint32_t>(attribute); break;
      case IFLA_LINK: relations.link = value_of<std::uint32_t>(attribute); break;
      case IFLA_LINK_NETNSID: link_is_elsewhere = true; break;
      case IFLA_PARENT_DEV_NAME: on_a_bus = true; break;
      case IFLA_XDP: read_program(attribute, interface); break;
      case IFLA_LINKINFO:
        for_each_nested(attribute, [&](int inner, const rtattr* info) {
          if (inner == IFLA_INFO_KIND) interface.kind = text_of(info);
        });
        break;
      default: break;
    }
  });
  if (link_is_elsewhere || relations.link == interface.index) relations.link = 0;
  // A card has no kind; before Linux 5.14 its bus is told in sysfs only.
  const std::string device = "/sys/class/net/" + interface.name + "/device";
  if (interface.kind.empty()) {
    if (body->ifi_type == ARPHRD_LOOPBACK)
      interface.kind = "loopback";
    else
      interface.kind = on_a_bus || ::access(device.c_str(), F_OK) == 0 ? "physical" : "unknown";
  }
  return {interface, relations};
}

}  // namespace

std::vector<Interface> list_interfaces() {
  const Descriptor socket = request_links();
  // What the kernel puts into one message of a dump at most (NLMSG_GOODSIZE, or what the reader offers up to 32 KiB).
  std::vector<char> buffer(32768);
  std::map<std::uint32_t, std::pair<Interface, Relations>> found;
  for (bool done = false; !done;) {
    const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) fail("list", subject, errno);
    auto left = static_cast<unsigned int>(received);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) done = true;
      if (message->nlmsg_type == NLMSG_ERROR)
        fail("list", subject, -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error);
      if (message->nlmsg_type != RTM_NEWLINK) continue;
      auto link = read_link(message);
      found[link.first.index] = std::move(link);
    }
  }
  std::vector<Interface> interfaces;
  for (auto& [index, link] : found) {
    auto& [interface, relations] = link;
    const auto parent = found.find(relations.link ? relations.link : relations.master);
    if (parent != found.end() && parent->first != 0) interface.parent = parent->second.first.name;
    interfaces.push_back(interface);
  }
  return interfaces;
}

std::uint64_t network_namespace() {
  struct stat status{};
  if (::stat("/proc/thread-self/ns/net", &status) != 0) fail("read", "/proc/thread-self/ns/net", errno);
  return status.st_ino;
}

}  // namespace bpf2kafka
