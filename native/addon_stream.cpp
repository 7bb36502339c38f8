#include "addon_stream.h"

namespace bpf2kafka {

namespace {

void set_counters(Napi::Object object, const stream_counters& counters) {
  Napi::Env env = object.Env();
  object.Set("entered", number(env, counters.entered));
  object.Set("fellThrough", number(env, counters.fell_through));
  object.Set("ringFull", number(env, counters.ring_full));
  object.Set("ringBusy", number(env, counters.ring_busy));
  object.Set("bare", number(env, counters.bare));
}

void set_filtered(Napi::Object object, const Filtered& filtered) {
  Napi::Object rules = Napi::Object::New(object.Env());
  for (const auto& [name, events] : filtered) rules.Set(name, number(object.Env(), events));
  object.Set("filtered", rules);
}

// -1 stands for none.
std::uint64_t offset_of(const Napi::Object& object, const char* name) {
  return static_cast<std::uint64_t>(object.Get(name).As<Napi::Number>().Int64Value() + 1);
}

CommitCounts counts_of(const Napi::Object& committed) {
  return {.acknowledged = unsigned_of(committed.Get("acknowledged")),
          .undecodable = unsigned_of(committed.Get("undecodable")),
          .spooled = unsigned_of(committed.Get("spooled")),
          .spool_id = unsigned_of(committed.Get("spoolId")),
          .first_offset = offset_of(committed, "firstOffset"),
          .last_offset = offset_of(committed, "lastOffset")};
}

class StreamWrap : public Napi::ObjectWrap<StreamWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "EventStream",
                       {
                           InstanceMethod<&StreamWrap::read>("read"),
                           InstanceMethod<&StreamWrap::commit>("commit"),
                           InstanceMethod<&StreamWrap::roll_forward>("rollForward"),
                           InstanceMethod<&StreamWrap::note_spool>("noteSpool"),
                           InstanceMethod<&StreamWrap::arm>("arm"),
                           InstanceMethod<&StreamWrap::on_wake>("onWake"),
                           InstanceMethod<&StreamWrap::status>("status"),
                           InstanceMethod<&StreamWrap::backlog>("backlog"),
                           InstanceMethod<&StreamWrap::pending>("pending"),
                           InstanceMethod<&StreamWrap::layout>("layout"),
                           InstanceMethod<&StreamWrap::retire>("retire"),
                       });
  }

  explicit StreamWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<StreamWrap>(info), handle_(*info[0].As<Napi::External<std::shared_ptr<StreamHandle>>>().Data()) {}

 private:
  EventRing& ring() const { return handle_->ring(); }

  Napi::Value read(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      auto buffer = info[0].As<Napi::Uint8Array>();
      const ReadResult result = ring().read(buffer.Data(), buffer.ByteLength(), info[1].As<Napi::Number>().Uint32Value());
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("records", result.records);
      object.Set("bytes", result.bytes);
      object.Set("position", number(info.Env(), result.position));
      return object;
    });
  }

  void commit(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { ring().commit(unsigned_of(info[0]), counts_of(info[1].As<Napi::Object>())); });
  }

  Napi::Value roll_forward(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const CommitCounts counts = counts_of(info[1].As<Napi::Object>());
      return Napi::Boolean::New(info.Env(), ring().roll_forward(unsigned_of(info[0]), counts));
    });
  }

  void note_spool(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const auto totals = info[0].As<Napi::Object>();
      ring().note_spool({.spool_id = unsigned_of(totals.Get("spoolId")),
                         .acknowledged = unsigned_of(totals.Get("acknowledged")),
                         .evicted = unsigned_of(totals.Get("evicted")),
                         .missing = unsigned_of(totals.Get("missing")),
                         .first_offset = offset_of(totals, "firstOffset"),
                         .last_offset = offset_of(totals, "lastOffset")});
    });
  }

  Napi::Value arm(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), ring().arm()); });
  }

  void on_wake(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { handle_->on_wake(info[0].As<Napi::Function>()); });
  }

  Napi::Value status(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      EventStream& stream = handle_->stream();
      const EventRing& ring = handle_->ring();
      const std::uint64_t* totals = ring.totals();
      Napi::Object object = Napi::Object::New(env);
      object.Set("replacedProgram", stream.replaced_program());
      object.Set("unobservedMicros", number(env, stream.unobserved_ns() / 1000));
      object.Set("programHash", hexadecimal(stream.ring().control()->program_hash));
      object.Set("nextSeq", number(env, stream.control().seq));
      set_counters(object, stream.counters());
      object.Set("acknowledged", number(env, totals[USER_ACKNOWLEDGED]));
      object.Set("undecodable", number(env, totals[USER_UNDECODABLE]));
      const bool is_main = handle_->is_main();
      const auto of_spool = [&](user_counter counter) { return number(env, is_main ? totals[counter] : 0); };
      object.Set("spooled", number(env, is_main ? stream.spooled() : 0));
      object.Set("spoolId", of_spool(USER_SPOOL_ID));
      object.Set("spoolAcknowledged", of_spool(USER_SPOOL_ACKNOWLEDGED));
      object.Set("spoolEvicted", of_spool(USER_SPOOL_EVICTED));
      object.Set("spoolMissing", of_spool(USER_SPOOL_MISSING));
      set_offsets(object, totals[USER_FIRST_OFFSET], totals[USER_LAST_OFFSET]);
      object.Set("corrupt", number(env, totals[USER_CORRUPT]));
      object.Set("corruptBytes", number(env, totals[USER_CORRUPT_BYTES]));
      object.Set("retired", ring.is_retired());
      object.Set("consumerPosition", number(env, ring.consumer_position()));
      object.Set("producerPosition", number(env, ring.producer_position()));
      object.Set("waitingBytes", number(env, ring.waiting_bytes()));
      object.Set("ringBytes", number(env, ring.ring_bytes()));
      object.Set("highWaterBytes", number(env, ring.high_water()));
      return object;
    });
  }

  Napi::Value backlog(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return number(info.Env(), handle_->stream().backlog()); });
  }

  Napi::Value pending(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return number(info.Env(), ring().pending(unsigned_of(info[0]), unsigned_of(info[1])));
    });
  }

  Napi::Value layout(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return to_javascript(info.Env(), handle_->layout()); });
  }

  void retire(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { handle_->retire(); });
  }

  std::shared_ptr<StreamHandle> handle_;
};

}  // namespace

void StreamHandle::require_open() const {
  if (!capture_) throw Error("ERR_ADDON", "use", "the capture", EBADF, "it is closed");
}

EventStream& StreamHandle::stream() const {
  require_open();
  return *stream_;
}

EventRing& StreamHandle::ring() const {
  require_open();
  return *ring_;
}

RecordLayout StreamHandle::layout() const {
  require_open();
  return earlier_ ? earlier_->layout() : stream_->layout();
}

void StreamHandle::retire() {
  require_open();
  if (!earlier_) throw Error("ERR_ADDON", "retire", "the ring", EBUSY, "it is written to");
  stop_waking();
  earlier_->retire(*ring_);
}

void StreamHandle::on_wake(const Napi::Function& callback) {
  const int fd = ring().fd();
  stop_waking();
  env_ = callback.Env();
  waker_ = Napi::ThreadSafeFunction::New(env_, callback, "bpf2kafka wake-up", 0, 1);
  waker_.Unref(env_);
  napi_add_env_cleanup_hook(env_, &StreamHandle::on_environment_end, this);
  wake_up_ = std::make_unique<WakeUp>(fd, [this] { waker_.NonBlockingCall(); });
}

void StreamHandle::close() {
  stop_waking();
  capture_.reset();
}

void StreamHandle::stop_waking() {
  wake_up_.reset();  // joins the thread that calls waker_
  if (!waker_) return;
  napi_remove_env_cleanup_hook(env_, &StreamHandle::on_environment_end, this);
  std::exchange(waker_, {}).Release();
}

Napi::Function define_stream(Napi::Env env) { return StreamWrap::define(env); }

Napi::Value open_stream(Napi::Env env, const std::shared_ptr<StreamHandle>& handle) {
  auto shared = handle;
  return env.GetInstanceData<Classes>()->stream.New({Napi::External<std::shared_ptr<StreamHandle>>::New(env, &shared)});
}

Napi::Object to_javascript(Napi::Env env, const StreamCut& cut) {
  Napi::Object object = Napi::Object::New(env);
  set_counters(object, cut.counters);
  set_filtered(object, cut.filtered);
  object.Set("skipped", number(env, cut.skipped));
  object.Set("seq", number(env, cut.seq));
  object.Set("producerPosition", number(env, cut.producer_position));
  object.Set("bareProducerPosition", number(env, cut.bare_producer_position));
  return object;
}

Napi::Object to_javascript(Napi::Env env, const FinalStream& totals) {
  Napi::Object object = Napi::Object::New(env);
  set_counters(object, totals.counters);
  set_filtered(object, totals.filtered);
  object.Set("skipped", number(env, totals.skipped));
  object.Set("acknowledged", number(env, totals.acknowledged));
  object.Set("undecodable", number(env, totals.undecodable));
  set_offsets(object, totals.first_offset, totals.last_offset);
  object.Set("discarded", number(env, totals.discarded));
  object.Set("spooled", number(env, totals.spooled));
  object.Set("spoolAcknowledged", number(env, totals.spool_acknowledged));
  object.Set("spoolEvicted", number(env, totals.spool_evicted));
  object.Set("spoolMissing", number(env, totals.spool_missing));
  return object;
}

}  // namespace bpf2kafka
