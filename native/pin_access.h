// Who besides the one who attached may read what is captured: a user that may load nothing.
#pragma once

#include <sys/types.h>

#include "pins.h"

namespace bpf2kafka {

// Lets this user, and nobody else but root, open what a reader needs. It may pass the directories and change none of them;
// what only the kernel side or its loader uses stays root's. Throws ERR_PERMISSION without the right to (CAP_CHOWN).
void give_pins(const PinPaths& paths, uid_t user, gid_t group);

}  // namespace bpf2kafka
