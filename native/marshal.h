// What both halves of the N-API boundary need: values, failures and work off the main loop.
#pragma once

#define NAPI_VERSION 9
#include <napi.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "error.h"
#include "layout.h"

namespace bpf2kafka {

// Of one environment: what makes the objects of which there are several.
struct Classes {
  Napi::FunctionReference packets;
  Napi::FunctionReference stream;
};

inline Napi::Error to_javascript(Napi::Env env, const Error& error) {
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
inline Napi::Number number(Napi::Env env, std::uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }
inline std::uint64_t unsigned_of(const Napi::Value& value) {
  return static_cast<std::uint64_t>(value.As<Napi::Number>().DoubleValue());
}

inline std::string hexadecimal(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

inline Napi::Object to_javascript(Napi::Env env, const RecordLayout& layout) {
  Napi::Object fields = Napi::Object::New(env);
  for (const Field& field : layout.record.fields) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("offset", field.offset);
    entry.Set("bytes", field.bytes);
    fields.Set(field.name, entry);
  }
  Napi::Object names = Napi::Object::New(env);
  for (const auto& [name, value] : layout.enumerators) names.Set(name, value);
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", layout.record.bytes);
  result.Set("fields", fields);
  result.Set("enumerators", names);
  return result;
}

// Kept as one more than they are; -1 stands for none.
inline void set_offsets(Napi::Object object, std::uint64_t first, std::uint64_t last) {
  object.Set("firstOffset", Napi::Number::New(object.Env(), static_cast<double>(first) - 1));
  object.Set("lastOffset", Napi::Number::New(object.Env(), static_cast<double>(last) - 1));
}

// Calls `work` on a thread of the pool and then, on the main loop, `translate` with its result.
template <typename Work, typename Translate>
class Background : public Napi::AsyncWorker {
 public:
  Background(Napi::Env env, Work work, Translate translate)
      : Napi::AsyncWorker(env),
        work_(std::move(work)),
        translate_(std::move(translate)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      result_ = work_();
    } catch (const Error& error) {
      error_ = std::make_unique<Error>(error);
      SetError(error.what());
    }
  }

  void OnOK() override { deferred_.Resolve(translate_(Env(), result_)); }

  void OnError(const Napi::Error& error) override {
    deferred_.Reject(error_ ? to_javascript(Env(), *error_).Value() : error.Value());
  }

 private:
  Work work_;
  Translate translate_;
  Napi::Promise::Deferred deferred_;
  decltype(std::declval<Work>()()) result_{};
  std::unique_ptr<Error> error_;
};

template <typename Work, typename Translate>
Napi::Promise in_background(Napi::Env env, Work work, Translate translate) {
  auto* worker = new Background<Work, Translate>(env, std::move(work), std::move(translate));  // deletes itself
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace bpf2kafka
