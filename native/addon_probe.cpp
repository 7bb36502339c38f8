#include "addon_probe.h"

#include "event_programs.h"
#include "exec_programs.h"
#include "interfaces.h"
#include "kernel.h"
#include "packet_programs.h"
#include "ring_generation.h"

namespace bpf2kafka {

namespace {

// Of either ring and map: as small as they can be.
constexpr std::uint64_t trial_ring_bytes = 64 * 1024;
constexpr std::uint32_t trial_flows = 1024;

// Loads what captures the stream, and lets go of it.
void try_programs(const std::string& stream) {
  require_kernel_features();
  if (stream == "exec")
    ExecPrograms({}).try_load(trial_ring_bytes);
  else if (stream == "failed execs")
    ExecPrograms({.failed = true}).try_load(trial_ring_bytes);
  else if (stream == "exit")
    ExitPrograms().try_load(trial_ring_bytes);
  else if (stream == "packets")
    PacketPrograms().try_load({.flows = trial_flows});
  else
    throw Error("ERR_ADDON", "load the programs of", stream, EINVAL);
}

Napi::Value try_programs_of(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    try_programs(info[0].As<Napi::String>());
    return info.Env().Undefined();
  });
}

Napi::Value interfaces(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Env env = info.Env();
    Napi::Array list = Napi::Array::New(env);
    for (const Interface& interface : list_interfaces()) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("index", interface.index);
      entry.Set("name", interface.name);
      entry.Set("kind", interface.kind);
      entry.Set("up", interface.up);
      entry.Set("hasProgram", interface.has_program);
      entry.Set("programId", interface.program_id);
      list.Set(list.Length(), entry);
    }
    return list;
  });
}

// Of one stream: the layout of its records now, and those of the rings that are pinned and have records with another one.
Napi::Object describe_records(Napi::Env env, const PinPaths& paths, const EventPrograms& programs) {
  const RecordLayout present = programs.layout();
  Napi::Array pinned = Napi::Array::New(env);
  for (const PinPaths& generation : RingGeneration::pinned(paths, programs.stream())) {
    const RingGeneration rings(generation, programs.stream());
    if (rings.is_retired() || rings.layout_hash() == present.hash()) continue;
    pinned.Set(pinned.Length(), to_javascript(env, rings.layout()));
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("stream", programs.stream());
  object.Set("present", to_javascript(env, present));
  object.Set("pinned", pinned);
  return object;
}

Napi::Value record_layouts(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const PinPaths paths(info[0].As<Napi::String>());
    Napi::Array streams = Napi::Array::New(info.Env());
    // The objects are opened only where something is to be compared: most starts find nothing pinned.
    const auto add = [&](const char* stream, auto open) {
      if (RingGeneration::pinned(paths, stream).empty()) return;
      streams.Set(streams.Length(), describe_records(info.Env(), paths, open()));
    };
    add("exec", [] { return ExecPrograms({}); });
    add("exit", [] { return ExitPrograms(); });
    return streams;
  });
}

Napi::Value clock_synchronised(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), clock_is_synchronised()); });
}

}  // namespace

void add_probes(Napi::Env env, Napi::Object exports) {
  exports.Set("tryPrograms", Napi::Function::New<try_programs_of>(env, "tryPrograms"));
  exports.Set("recordLayouts", Napi::Function::New<record_layouts>(env, "recordLayouts"));
  exports.Set("interfaces", Napi::Function::New<interfaces>(env, "interfaces"));
  exports.Set("isClockSynchronised", Napi::Function::New<clock_synchronised>(env, "isClockSynchronised"));
}

}  // namespace bpf2kafka
