// The N-API boundary and nothing else: take arguments apart, call, turn failures into JavaScript errors.
// src/kernel/addon.ts is its typed contract; it also checks the arguments.

#include <algorithm>
#include <memory>

#include "addon_packets.h"
#include "capture.h"
#include "marshal.h"
#include "service_manager.h"

namespace bpf2kafka {

namespace {

void set_counters(Napi::Object object, const stream_counters& counters) {
  Napi::Env env = object.Env();
  object.Set("entered", number(env, counters.entered));
  object.Set("fellThrough", number(env, counters.fell_through));
  object.Set("ringFull", number(env, counters.ring_full));
  object.Set("ringBusy", number(env, counters.ring_busy));
}

void set_filtered(Napi::Object object, const FilteredExecs& filtered) {
  Napi::Object rules = Napi::Object::New(object.Env());
  for (const auto& [name, execs] : filtered) rules.Set(name, number(object.Env(), execs));
  object.Set("filtered", rules);
}

Napi::Object to_javascript(Napi::Env env, const EpochCut& cut, const Capture& capture) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("epoch", number(env, cut.epoch));
  object.Set("beginBootMicros", number(env, cut.begin_boot_ns / 1000));
  object.Set("endBootMicros", number(env, cut.end_boot_ns / 1000));
  set_counters(object, cut.counters);
  set_filtered(object, cut.filtered);
  object.Set("skipped", number(env, cut.skipped));
  object.Set("seq", number(env, cut.seq));
  object.Set("producerPosition", number(env, cut.producer_position));
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

ExecSettings settings_of(const Napi::Object& options) {
  const std::string args = options.Get("args").As<Napi::String>();
  const auto* named = std::find(std::begin(args_names), std::end(args_names), args);
  if (named == std::end(args_names)) throw Error("ERR_ADDON", "capture of argv", args, EINVAL);
  return {.args = static_cast<exec_args>(named - std::begin(args_names)),
          .env = options.Get("env").As<Napi::Boolean>().Value(),
          .excluded = rules_of(options.Get("excluded").As<Napi::Object>())};
}

class CaptureWrap : public Napi::ObjectWrap<CaptureWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Capture",
                       {
                           InstanceMethod<&CaptureWrap::read>("read"),
                           InstanceMethod<&CaptureWrap::commit>("commit"),
                           InstanceMethod<&CaptureWrap::arm>("arm"),
                           InstanceMethod<&CaptureWrap::on_wake>("onWake"),
                           InstanceMethod<&CaptureWrap::status>("status"),
                           InstanceMethod<&CaptureWrap::backlog>("backlog"),
                           InstanceMethod<&CaptureWrap::clock_offsets>("clockOffsets"),
                           InstanceMethod<&CaptureWrap::sync_clock>("syncClock"),
                           InstanceMethod<&CaptureWrap::exec_layout>("execLayout"),
                           InstanceMethod<&CaptureWrap::advance_epoch>("advanceEpoch"),
                           InstanceMethod<&CaptureWrap::pending>("pending"),
                           InstanceMethod<&CaptureWrap::open_packets>("openPackets"),
                           InstanceMethod<&CaptureWrap::has_pinned_packets>("hasPinnedPackets"),
                           InstanceMethod<&CaptureWrap::exclude>("exclude"),
                           InstanceMethod<&CaptureWrap::detach>("detach"),
                           InstanceMethod<&CaptureWrap::unpin>("unpin"),
                           InstanceMethod<&CaptureWrap::close>("close"),
                       });
  }

  explicit CaptureWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureWrap>(info) {
    guarded(info.Env(), [&] {
      capture_ = std::make_shared<Capture>(info[0].As<Napi::String>().Utf8Value(), unsigned_of(info[1]),
                                           settings_of(info[2].As<Napi::Object>()));
    });
  }

  ~CaptureWrap() override { stop_waking(); }

 private:
  // After close, every call is an error and never a crash.
  Capture& capture() {
    if (!capture_) throw Error("ERR_ADDON", "use", "the capture", EBADF, "it is closed");
    return *capture_;
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      auto buffer = info[0].As<Napi::Uint8Array>();
      const ReadResult result =
          capture().ring().read(buffer.Data(), buffer.ByteLength(), info[1].As<Napi::Number>().Uint32Value());
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("records", result.records);
      object.Set("bytes", result.bytes);
      object.Set("position", number(info.Env(), result.position));
      return object;
    });
  }

  void commit(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const auto committed = info[1].As<Napi::Object>();
      const auto field = [&](const char* name) { return unsigned_of(committed.Get(name)); };
      // -1 stands for none.
      const auto offset = [&](const char* name) {
        return static_cast<std::uint64_t>(committed.Get(name).As<Napi::Number>().Int64Value() + 1);
      };
      capture().ring().commit(unsigned_of(info[0]), {.acknowledged = field("acknowledged"),
                                                     .undecodable = field("undecodable"),
                                                     .first_offset = offset("firstOffset"),
                                                     .last_offset = offset("lastOffset")});
    });
  }

  Napi::Value arm(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), capture().ring().arm()); });
  }

  void on_wake(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int ring = capture().ring().fd();
      stop_waking();
      waker_ = Napi::ThreadSafeFunction::New(info.Env(), info[0].As<Napi::Function>(), "bpf2kafka wake-up", 0, 1);
      waker_.Unref(info.Env());
      napi_add_env_cleanup_hook(info.Env(), &CaptureWrap::on_environment_end, this);
      wake_up_ = std::make_unique<WakeUp>(ring, [this] { waker_.NonBlockingCall(); });
    });
  }

  Napi::Value status(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      Capture& current = capture();
      const std::uint64_t* totals = current.ring().totals();
      Napi::Object object = Napi::Object::New(env);
      object.Set("resumed", current.resumed());
      object.Set("replacedProgram", current.replaced_program());
      object.Set("attachId", number(env, current.host().attach_id));
      object.Set("epoch", number(env, current.host().epoch));
      object.Set("unobservedMicros", number(env, current.host().unobserved_ns / 1000));
      object.Set("programHash", hexadecimal(current.ring().control()->program_hash));
      object.Set("nextSeq", number(env, current.stream().seq));
      set_counters(object, current.counters());
      object.Set("acknowledged", number(env, totals[USER_ACKNOWLEDGED]));
      object.Set("undecodable", number(env, totals[USER_UNDECODABLE]));
      set_offsets(object, totals[USER_FIRST_OFFSET], totals[USER_LAST_OFFSET]);
      object.Set("corrupt", number(env, totals[USER_CORRUPT]));
      object.Set("corruptBytes", number(env, totals[USER_CORRUPT_BYTES]));
      object.Set("waitingBytes", number(env, current.ring().waiting_bytes()));
      object.Set("ringBytes", number(env, current.ring().ring_bytes()));
      object.Set("highWaterBytes", number(env, current.ring().high_water()));
      return object;
    });
  }

  Napi::Value backlog(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return number(info.Env(), capture().ring().backlog()); });
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

  Napi::Value exec_layout(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const ExecPrograms& programs = capture().programs();
      return to_javascript(info.Env(), programs.record_layout(), programs.record_enumerators());
    });
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

  Napi::Value pending(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return number(info.Env(), capture().ring().pending(unsigned_of(info[0]), unsigned_of(info[1])));
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

  void detach(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().detach(); });
  }

  void unpin(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { capture().unpin(); });
  }

  void close(const Napi::CallbackInfo&) {
    stop_waking();
    capture_.reset();
  }

  static void on_environment_end(void* self) { static_cast<CaptureWrap*>(self)->stop_waking(); }

  void stop_waking() {
    wake_up_.reset();  // joins the thread that calls waker_
    if (!waker_) return;
    napi_remove_env_cleanup_hook(Env(), &CaptureWrap::on_environment_end, this);
    std::exchange(waker_, {}).Release();
  }

  std::shared_ptr<Capture> capture_;
  Napi::ThreadSafeFunction waker_;
  std::unique_ptr<WakeUp> wake_up_;
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
    set_counters(object, totals->counters);
    set_filtered(object, totals->filtered);
    object.Set("skipped", number(env, totals->skipped));
    object.Set("acknowledged", number(env, totals->acknowledged));
    object.Set("undecodable", number(env, totals->undecodable));
    set_offsets(object, totals->first_offset, totals->last_offset);
    object.Set("discarded", number(env, totals->discarded));
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
  prepare_packets(env);
  exports.Set("detach", Napi::Function::New<detach>(env, "detach"));
  exports.Set("tellServiceManager", Napi::Function::New<tell_manager>(env, "tellServiceManager"));
  return exports;
}

}  // namespace

}  // namespace bpf2kafka

Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) { return bpf2kafka::initialize(env, exports); }
NODE_API_MODULE(bpf2kafka, initialize_addon)
