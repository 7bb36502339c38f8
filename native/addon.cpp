// The N-API boundary and nothing else: take arguments apart, call, turn failures into JavaScript errors.
// src/kernel/addon.ts is its typed contract; it also checks the arguments.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "addon_packets.h"
#include "addon_probe.h"
#include "addon_records.h"
#include "addon_stream.h"
#include "capture.h"
#include "marshal.h"
#include "service_manager.h"

namespace bpf2kafka {

namespace {

Napi::Object to_javascript(Napi::Env env, const EpochCut& cut, const Capture& capture) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("epoch", number(env, cut.epoch));
  object.Set("beginBootMicros", number(env, cut.begin_boot_ns / 1000));
  object.Set("endBootMicros", number(env, cut.end_boot_ns / 1000));
  object.Set("exec", to_javascript(env, cut.exec));
  if (cut.exit) object.Set("exit", to_javascript(env, *cut.exit));
  object.Set("packets", packet_totals(env, cut.packets, capture));
  return object;
}

// By enum exec_args.
const char* const args_names[] = {"full", "program", "none"};

// By enum exec_rule_kind.
const char* const rule_lists[] = {"exes", "uids", "cgroups"};
static_assert(sizeof(rule_lists) / sizeof(rule_lists[0]) == EXEC_RULE_KINDS);

std::vector<ExecRule> rules_of(const Napi::Object& filters) {
  std::vector<ExecRule> rules;
  for (int kind = 0; kind < EXEC_RULE_KINDS; kind++) {
    const auto values = filters.Get(rule_lists[kind]).As<Napi::Array>();
    for (std::uint32_t i = 0; i < values.Length(); i++)
      rules.push_back({.kind = static_cast<exec_rule_kind>(kind), .value = values.Get(i).ToString().Utf8Value()});
  }
  return rules;
}

CaptureSettings settings_of(const Napi::Object& options) {
  const std::string args = options.Get("args").As<Napi::String>();
  const auto* named = std::find(std::begin(args_names), std::end(args_names), args);
  if (named == std::end(args_names)) throw Error("ERR_ADDON", "capture of argv", args, EINVAL);
  return {.exec_ring_bytes = unsigned_of(options.Get("execRingBytes")),
          .exit_ring_bytes = unsigned_of(options.Get("exitRingBytes")),
          .orphan_after_ns = unsigned_of(options.Get("orphanAfterMillis")) * 1'000'000,
          .exec = {.args = static_cast<exec_args>(named - std::begin(args_names)),
                   .env = options.Get("env").As<Napi::Boolean>().Value(),
                   .failed = options.Get("failed").ToBoolean().Value(),
                   .excluded = rules_of(options.Get("excluded").As<Napi::Object>())},
          .attached = options.Get("attached").ToBoolean().Value()};
}

class CaptureWrap : public Napi::ObjectWrap<CaptureWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Capture",
                       {
                           InstanceMethod<&CaptureWrap::open_exec>("openExec"),
                           InstanceMethod<&CaptureWrap::open_bare_exec>("openBareExec"),
                           InstanceMethod<&CaptureWrap::open_exit>("openExit"),
                           InstanceMethod<&CaptureWrap::open_earlier>("openEarlier"),
                           InstanceMethod<&CaptureWrap::has_pinned_execs>("hasPinnedExecs"),
                           InstanceMethod<&CaptureWrap::has_pinned_exits>("hasPinnedExits"),
                           InstanceMethod<&CaptureWrap::status>("status"),
                           InstanceMethod<&CaptureWrap::clock_offsets>("clockOffsets"),
                           InstanceMethod<&CaptureWrap::sync_clock>("syncClock"),
                           InstanceMethod<&CaptureWrap::heartbeat>("heartbeat"),
                           InstanceMethod<&CaptureWrap::advance_epoch>("advanceEpoch"),
                           InstanceMethod<&CaptureWrap::open_packets>("openPackets"),
                           InstanceMethod<&CaptureWrap::has_pinned_packets>("hasPinnedPackets"),
                           InstanceMethod<&CaptureWrap::exclude>("exclude"),
                           InstanceMethod<&CaptureWrap::give_to>("giveTo"),
                           InstanceMethod<&CaptureWrap::detach>("detach"),
                           InstanceMethod<&CaptureWrap::unpin>("unpin"),
                           InstanceMethod<&CaptureWrap::close>("close"),
                       });
  }

  explicit CaptureWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureWrap>(info) {
    guarded(info.Env(), [&] {
      capture_ = std::make_shared<Capture>(info[0].As<Napi::String>().Utf8Value(), settings_of(info[1].As<Napi::Object>()));
    });
  }

  ~CaptureWrap() override { close_streams(); }

 private:
  // After close, every call is an error and never a crash.
  Capture& capture() {
    if (!capture_) throw Error("ERR_ADDON", "use", "the capture", EBADF, "it is closed");
    return *capture_;
  }

  Napi::Value open(Napi::Env env, EventStream& stream, EventRing& ring, RingGeneration* earlier = nullptr) {
    return open_stream(env, streams_.emplace_back(std::make_shared<StreamHandle>(capture_, &stream, &ring, earlier)));
  }

  Napi::Value open_exec(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return open(info.Env(), capture().exec(), capture().exec().ring()); });
  }

  Napi::Value open_bare_exec(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return open(info.Env(), capture().exec(), *capture().exec().bare_ring()); });
  }

  // Undefined when exits are not captured.
  Napi::Value open_exit(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      EventStream* stream = capture().exit();
      return stream ? open(info.Env(), *stream, stream->ring()) : info.Env().Undefined();
    });
  }

  // The rings of earlier generations of a stream, oldest first.
  Napi::Value open_earlier(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      EventStream& stream = info[0].As<Napi::String>().Utf8Value() == "exit" ? *capture().exit() : capture().exec();
      Napi::Array rings = Napi::Array::New(info.Env());
      for (RingGeneration& generation : stream.earlier())
        for (EventRing* ring : generation.rings())
          rings.Set(rings.Length(), open(info.Env(), stream, *ring, &generation));
      return rings;
    });
  }

  Napi::Value has_pinned_execs(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), capture().has_pinned_execs()); });
  }

  Napi::Value has_pinned_exits(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), capture().has_pinned_exits()); });
  }

  Napi::Value status(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      Capture& current = capture();
      Napi::Object object = Napi::Object::New(env);
      object.Set("resumed", current.resumed());
      object.Set("attachId", number(env, current.host().attach_id));
      object.Set("epoch", number(env, current.host().epoch));
      return object;
    });
  }

  Napi::Value clock_offsets(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      const host_control& host = capture().host();
      const std::uint64_t count = host.clock_count;
      Napi::Array offsets = Napi::Array::New(env);
      for (std::uint64_t i = count > CLOCK_OFFSETS ? count - CLOCK_OFFSETS : 0; i < count; i++) {
        const clock_offset& offset = host.clock[i % CLOCK_OFFSETS];
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("fromBootMicros", number(env, offset.from_boot_ns / 1000));
        entry.Set("realtimeMinusBootMicros", Napi::Number::New(env, static_cast<double>(offset.realtime_minus_boot_ns / 1000)));
        offsets.Set(offsets.Length(), entry);
      }
      return offsets;
    });
  }

  void sync_clock(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().sync_clock(); });
  }

  void heartbeat(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().heartbeat(); });
  }

  Napi::Value advance_epoch(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      capture().begin_advance();
      // The barriers wait for the kernel, so the cut is made off the main loop.
      return in_background(
          info.Env(), [capture = capture_] { return capture->advance_epoch(); },
          [capture = capture_](Napi::Env env, const EpochCut& cut) { return to_javascript(env, cut, *capture); });
    });
  }

  Napi::Value open_packets(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      (void)capture();
      return bpf2kafka::open_packets(info.Env(), capture_, info[0].As<Napi::Object>());
    });
  }

  Napi::Value has_pinned_packets(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), capture().has_pinned_packets()); });
  }

  Napi::Value exclude(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      (void)capture();
      // The verifier takes its time.
      return in_background(
          info.Env(),
          [capture = capture_, rules = rules_of(info[0].As<Napi::Object>())] {
            capture->exclude(rules);
            return true;
          },
          [](Napi::Env env, bool) { return env.Undefined(); });
    });
  }

  void give_to(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      capture().give_to(static_cast<uid_t>(unsigned_of(info[0])), static_cast<gid_t>(unsigned_of(info[1])));
    });
  }

  void detach(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().detach(); });
  }

  void unpin(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().unpin(); });
  }

  void close(const Napi::CallbackInfo&) {
    close_streams();
    capture_.reset();
  }

  void close_streams() {
    for (const auto& stream : std::exchange(streams_, {})) stream->close();
  }

  std::shared_ptr<Capture> capture_;
  std::vector<std::shared_ptr<StreamHandle>> streams_;
};

Napi::Value detach(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Env env = info.Env();
    const std::optional<FinalTotals> totals =
        detach_pinned(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::Boolean>().Value());
    if (!totals) return env.Undefined();
    Napi::Object object = Napi::Object::New(env);
    object.Set("attachId", number(env, totals->attach_id));
    object.Set("epoch", number(env, totals->epoch));
    object.Set("exec", to_javascript(env, totals->exec));
    if (totals->exit) object.Set("exit", to_javascript(env, *totals->exit));
    object.Set("packets", final_packets(env, totals->packets));
    return object;
  });
}

Napi::Value tell_manager(const Napi::CallbackInfo& info) {
  const int number = tell_service_manager(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value());
  return Napi::Number::New(info.Env(), number);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Capture", CaptureWrap::define(env));
  env.SetInstanceData(new Classes{Napi::Persistent(define_packets(env)), Napi::Persistent(define_stream(env))});
  exports.Set("detach", Napi::Function::New<detach>(env, "detach"));
  add_probes(env, exports);
  add_records(env, exports);
  exports.Set("tellServiceManager", Napi::Function::New<tell_manager>(env, "tellServiceManager"));
  return exports;
}

}  // namespace

}  // namespace bpf2kafka

Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) { return bpf2kafka::initialize(env, exports); }
NODE_API_MODULE(bpf2kafka, initialize_addon)
