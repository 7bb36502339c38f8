// The N-API boundary of what writes records as Avro.
#pragma once

#include "marshal.h"

namespace bpf2kafka {

// LearnedTable and RecordWriter.
void add_records(Napi::Env env, Napi::Object exports);

}  // namespace bpf2kafka
