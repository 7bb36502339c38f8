// The N-API boundary of the packets streams.
#pragma once

#include <memory>
#include <vector>

#include "capture.h"
#include "marshal.h"

namespace bpf2kafka {

Napi::Function define_packets(Napi::Env env);

// The JavaScript object through which the capture's packets are read.
Napi::Value open_packets(Napi::Env env, const std::shared_ptr<Capture>& capture, const Napi::Object& options);

Napi::Array packet_totals(Napi::Env env, const std::vector<PacketTotals>& totals, const Capture& capture);
Napi::Array final_packets(Napi::Env env, const std::vector<FinalPackets>& totals);

}  // namespace bpf2kafka
