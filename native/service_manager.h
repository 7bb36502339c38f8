// The notifications that systemd takes (sd_notify(3)): Node.js has no datagram sockets for local addresses.
#pragma once

#include <string>

namespace bpf2kafka {

// Sends one message, as in "READY=1\nSTATUS=…", to NOTIFY_SOCKET; a name that begins with @ is abstract. Returns 0 or an
// errno.
int tell_service_manager(const std::string& socket_name, const std::string& message);

}  // namespace bpf2kafka
