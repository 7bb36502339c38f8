// The N-API boundary of what `check` asks of this host; nothing of it is kept or attached.
#pragma once

#include "marshal.h"

namespace bpf2kafka {

void add_probes(Napi::Env env, Napi::Object exports);

}  // namespace bpf2kafka
