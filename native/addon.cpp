// The N-API boundary and nothing else: take arguments apart, call, turn failures into JavaScript errors.
// src/kernel/addon.ts is its typed contract; it also checks the arguments.
#define NAPI_VERSION 9
#include <napi.h>

#include <memory>

#include "capture.h"
#include "error.h"
#include "kernel.h"

namespace bpf2kafka {

namespace {

Napi::Error to_javascript(Napi::Env env, const Error& error) {
  Napi::Error wrapped = Napi::Error::New(env, error.what());
  Napi::Object object = wrapped.Value();
  object.Set("code", error.code);
  object.Set("operation", error.operation);
  object.Set("subject", error.subject);
  object.Set("errno", error.number);
  return wrapped;
}

template <typename Call>
auto guarded(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const Error& error) {
    throw to_javascript(env, error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw to_javascript(env, Error("ERR_ADDON", "call", "the native addon", 0, error.what()));
  }
}

// Counters and positions stay below 2^53 for longer than any host runs.
Napi::Number number(Napi::Env env, std::uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }
std::uint64_t unsigned_of(const Napi::Value& value) { return static_cast<std::uint64_t>(value.As<Napi::Number>().DoubleValue()); }

Napi::Object to_javascript(Napi::Env env, const StructLayout& layout, const Enumerators& enumerators) {
  Napi::Object fields = Napi::Object::New(env);
  for (const Field& field : layout.fields) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("offset", field.offset);
    entry.Set("bytes", field.bytes);
    fields.Set(field.name, entry);
  }
  Napi::Object names = Napi::Object::New(env);
  for (const auto& [name, value] : enumerators) names.Set(name, value);
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", layout.bytes);
  result.Set("fields", fields);
  result.Set("enumerators", names);
  return result;
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
                           InstanceMethod<&CaptureWrap::clock_offsets>("clockOffsets"),
                           InstanceMethod<&CaptureWrap::sync_clock>("syncClock"),
                           InstanceMethod<&CaptureWrap::exec_layout>("execLayout"),
                           InstanceMethod<&CaptureWrap::detach>("detach"),
                           InstanceMethod<&CaptureWrap::unpin>("unpin"),
                           InstanceMethod<&CaptureWrap::close>("close"),
                       });
  }

  explicit CaptureWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureWrap>(info) {
    guarded(info.Env(), [&] {
      capture_ = std::make_unique<Capture>(info[0].As<Napi::String>().Utf8Value(), unsigned_of(info[1]));
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
    guarded(info.Env(), [&] { capture().ring().commit(unsigned_of(info[0]), unsigned_of(info[1]), unsigned_of(info[2])); });
  }

  Napi::Value arm(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), capture().ring().arm()); });
  }

  void on_wake(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      stop_waking();
      waker_ = Napi::ThreadSafeFunction::New(info.Env(), info[0].As<Napi::Function>(), "bpf2kafka wake-up", 0, 1);
      waker_.Unref(info.Env());
      wake_up_ = std::make_unique<WakeUp>(capture().ring().fd(), [this] { waker_.NonBlockingCall(); });
    });
  }

  Napi::Value status(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      Capture& current = capture();
      stream_counters sums{};
      for (const stream_counters& counters : current.stream().counters) {
        sums.entered += counters.entered;
        sums.fell_through += counters.fell_through;
        sums.ring_full += counters.ring_full;
        sums.ring_busy += counters.ring_busy;
      }
      const std::uint64_t* totals = current.ring().totals();
      Napi::Object object = Napi::Object::New(env);
      object.Set("resumed", current.resumed());
      object.Set("replacedProgram", current.replaced_program());
      object.Set("attachId", number(env, current.host().attach_id));
      object.Set("epoch", number(env, current.host().epoch));
      object.Set("nextSeq", number(env, current.stream().seq));
      object.Set("entered", number(env, sums.entered));
      object.Set("fellThrough", number(env, sums.fell_through));
      object.Set("ringFull", number(env, sums.ring_full));
      object.Set("ringBusy", number(env, sums.ring_busy));
      object.Set("acknowledged", number(env, totals[USER_ACKNOWLEDGED]));
      object.Set("undecodable", number(env, totals[USER_UNDECODABLE]));
      object.Set("corrupt", number(env, totals[USER_CORRUPT]));
      object.Set("corruptBytes", number(env, totals[USER_CORRUPT_BYTES]));
      object.Set("backlog", number(env, current.ring().backlog()));
      object.Set("waitingBytes", number(env, current.ring().waiting_bytes()));
      object.Set("ringBytes", number(env, current.ring().ring_bytes()));
      object.Set("highWaterBytes", number(env, current.ring().high_water()));
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

  Napi::Value exec_layout(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const btf* types = capture().programs().types();
      return to_javascript(info.Env(), describe_struct(types, "exec_record"), describe_enum(types, "exec_field"));
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

  void stop_waking() {
    wake_up_.reset();  // joins the thread that calls waker_
    if (waker_) std::exchange(waker_, {}).Release();
  }

  std::unique_ptr<Capture> capture_;
  Napi::ThreadSafeFunction waker_;
  std::unique_ptr<WakeUp> wake_up_;
};

Napi::Value detach(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::int64_t discarded = detach_pinned(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::Boolean>().Value());
    return Napi::Number::New(info.Env(), static_cast<double>(discarded));
  });
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Capture", CaptureWrap::define(env));
  exports.Set("detach", Napi::Function::New<detach>(env, "detach"));
  return exports;
}

}  // namespace

}  // namespace bpf2kafka

Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) { return bpf2kafka::initialize(env, exports); }
NODE_API_MODULE(bpf2kafka, initialize_addon)
