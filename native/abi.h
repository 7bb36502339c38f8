// ../bpf/abi.h as the addon sees it: in its namespace.
#pragma once

#include <linux/types.h>

namespace bpf2kafka {
#include "../bpf/abi.h"
}
