// The N-API boundary of one stream of events and its rings.
#pragma once

#include <memory>

#include "capture.h"
#include "marshal.h"

namespace bpf2kafka {

// A stream of a capture, by one of its rings, in JavaScript's hands: the capture's wrapper closes it, whoever still holds
// it.
class StreamHandle {
 public:
  // earlier: the generation of the ring, when that is not the newest.
  StreamHandle(std::shared_ptr<Capture> capture, EventStream* stream, EventRing* ring, RingGeneration* earlier = nullptr)
      : capture_(std::move(capture)), stream_(stream), ring_(ring), earlier_(earlier) {}
  ~StreamHandle() { close(); }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;

  EventStream& stream() const;
  EventRing& ring() const;
  // The one of which the stream tells, and which has its counts of the spool.
  bool is_main() const { return ring_ == &stream_->ring(); }
  RecordLayout layout() const;
  // Of an earlier generation, when it is empty.
  void retire();
  // Calls back on the main loop each time a program wakes the reader.
  void on_wake(const Napi::Function& callback);
  // After it, every use is an error and never a crash.
  void close();

 private:
  void require_open() const;
  void stop_waking();
  static void on_environment_end(void* self) { static_cast<StreamHandle*>(self)->stop_waking(); }

  std::shared_ptr<Capture> capture_;
  EventStream* stream_;
  EventRing* ring_;
  RingGeneration* earlier_;
  napi_env env_ = nullptr;
  Napi::ThreadSafeFunction waker_;
  std::unique_ptr<WakeUp> wake_up_;
};

Napi::Function define_stream(Napi::Env env);
// The JavaScript object through which it is read.
Napi::Value open_stream(Napi::Env env, const std::shared_ptr<StreamHandle>& handle);

Napi::Object to_javascript(Napi::Env env, const StreamCut& cut);
Napi::Object to_javascript(Napi::Env env, const FinalStream& totals);

}  // namespace bpf2kafka
