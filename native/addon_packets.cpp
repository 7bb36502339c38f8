#include "addon_packets.h"

#include <algorithm>

namespace bpf2kafka {

namespace {

// By enum packet_mode and enum packet_key_kind.
const char* const mode_names[] = {"native", "generic", "offload"};
const char* const key_kind_names[] = {"flow", "service", "hosts", "example"};
// By enum packet_class.
const char* const class_names[] = {"fragment", "malformed", "nonIp", "overflow", "filtered"};
static_assert(sizeof(class_names) / sizeof(class_names[0]) == PACKET_CLASSES);

// By a number that stands in pinned memory, where a reader without rights can write another one.
template <std::size_t count>
const char* name_of(const char* const (&names)[count], std::uint64_t number) {
  return number < count ? names[number] : "unknown";
}

void set_counters(Napi::Object object, const packet_counters& counters) {
  Napi::Env env = object.Env();
  object.Set("seen", number(env, counters.seen.packets));
  object.Set("seenBytes", number(env, counters.seen.bytes));
  for (int i = 0; i < PACKET_CLASSES; i++) object.Set(class_names[i], number(env, counters.classes[i].packets));
}

PacketSettings settings_of(const Napi::Object& options) {
  PacketSettings settings;
  const std::string key_kind = options.Get("keyKind").As<Napi::String>();
  const auto* named = std::find(std::begin(key_kind_names), std::end(key_kind_names), key_kind);
  if (named == std::end(key_kind_names)) throw Error("ERR_ADDON", "count packets by", key_kind, EINVAL);
  settings.key_kind = static_cast<packet_key_kind>(named - std::begin(key_kind_names));
  settings.flows = static_cast<std::uint32_t>(unsigned_of(options.Get("flows")));
  const auto excluded = options.Get("excluded").As<Napi::Array>();
  for (std::uint32_t i = 0; i < excluded.Length(); i++) {
    const auto given = excluded.Get(i).As<Napi::Object>();
    const auto address = given.Get("address").As<Napi::Uint8Array>();
    Prefix prefix;
    prefix.family = static_cast<int>(unsigned_of(given.Get("family")));
    prefix.bits = static_cast<std::uint32_t>(unsigned_of(given.Get("prefixLength")));
    std::copy_n(address.Data(), std::min(address.ByteLength(), prefix.address.size()), prefix.address.begin());
    settings.excluded.push_back(prefix);
  }
  return settings;
}

// Lives as long as the capture: to keep that alive would keep the pins owned, until the garbage is collected.
class PacketsWrap : public Napi::ObjectWrap<PacketsWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "PacketCapture",
                       {
                           InstanceMethod<&PacketsWrap::status>("status"),
                           InstanceMethod<&PacketsWrap::layout>("layout"),
                           InstanceMethod<&PacketsWrap::table>("table"),
                           InstanceMethod<&PacketsWrap::interfaces>("interfaces"),
                           InstanceMethod<&PacketsWrap::attach>("attach"),
                           InstanceMethod<&PacketsWrap::detach>("detach"),
                           InstanceMethod<&PacketsWrap::read_frozen>("readFrozen"),
                           InstanceMethod<&PacketsWrap::take>("take"),
                           InstanceMethod<&PacketsWrap::acknowledge>("acknowledge"),
                           InstanceMethod<&PacketsWrap::clear_frozen>("clearFrozen"),
                           InstanceMethod<&PacketsWrap::fill>("fill"),
                           InstanceMethod<&PacketsWrap::backlog>("backlog"),
                       });
  }

  explicit PacketsWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PacketsWrap>(info) {
    const auto& capture = *info[0].As<Napi::External<std::shared_ptr<Capture>>>().Data();
    guarded(info.Env(), [&] { packets_ = &capture->open_packets(settings_of(info[1].As<Napi::Object>())); });
    capture_ = capture;
  }

 private:
  // After the capture is closed, a call that needs it is an error and never a crash.
  std::shared_ptr<Capture> capture() const {
    if (auto capture = capture_.lock()) return capture;
    throw Error("ERR_ADDON", "use", "the capture", EBADF, "it is closed");
  }
  PacketCapture& packets() const {
    (void)capture();
    return *packets_;
  }

  Napi::Value status(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      const packet_control& control = packets().maps().control();
      const packet_commit& commit = packets().maps().commit();
      Napi::Object object = Napi::Object::New(env);
      object.Set("resumed", packets().resumed());
      object.Set("replacedProgram", packets().replaced_program());
      object.Set("programHash", hexadecimal(control.program_hash));
      object.Set("keyKind", name_of(key_kind_names, control.key_kind));
      object.Set("flows", number(env, control.flows));
      object.Set("frozenEpoch", number(env, packets().frozen_epoch()));
      object.Set("ackedEpoch", number(env, control.acked_epoch));
      object.Set("clearedEpoch", number(env, control.cleared_epoch));
      set_offsets(object, commit.first_offset, commit.last_offset);
      return object;
    });
  }

  Napi::Value layout(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const PacketPrograms& programs = packets().programs();
      return to_javascript(info.Env(), programs.layout());
    });
  }

  Napi::Value table(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      const packet_commit& commit = packets().maps().commit();
      Napi::Array entries = Napi::Array::New(env);
      for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++) {
        const packet_interface& interface = packets().maps().interfaces()[slot];
        if (!interface.index) continue;
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("slot", slot);
        entry.Set("index", number(env, interface.index));
        entry.Set("name", interface.name);
        entry.Set("kind", interface.kind);
        entry.Set("parent", interface.parent[0] ? Napi::Value(Napi::String::New(env, interface.parent)) : env.Null());
        entry.Set("mode", name_of(mode_names, interface.mode));
        entry.Set("published", number(env, commit.published[slot]));
        entries.Set(entries.Length(), entry);
      }
      return entries;
    });
  }

  Napi::Value interfaces(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      const std::vector<Interface> present = list_interfaces();
      const std::vector<std::uint32_t> attached = packets().attached(present);
      Napi::Array list = Napi::Array::New(env);
      for (const Interface& interface : present) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("index", interface.index);
        entry.Set("name", interface.name);
        entry.Set("kind", interface.kind);
        entry.Set("up", interface.up);
        entry.Set("attached", std::find(attached.begin(), attached.end(), interface.index) != attached.end());
        list.Set(list.Length(), entry);
      }
      return list;
    });
  }

  Napi::Value attach(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      Napi::Env env = info.Env();
      const std::uint64_t index = unsigned_of(info[0]);
      for (const Interface& interface : list_interfaces()) {
        if (interface.index != index) continue;
        const Attached attached = packets().attach(interface);
        Napi::Object object = Napi::Object::New(env);
        object.Set("mode", mode_names[attached.mode]);
        object.Set("nativeRefusal", attached.native_refusal);
        return object;
      }
      throw Error("ERR_BPF", "count packets on", "interface " + std::to_string(index), ENODEV, "it is gone");
    });
  }

  void detach(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { packets().detach(static_cast<std::uint32_t>(unsigned_of(info[0]))); });
  }

  Napi::Value read_frozen(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return in_background(
          info.Env(),
          [this, capture = capture()] {
            packets_->read_frozen(frozen_);
            return 0;
          },
          [this, capture = capture(), self = Persistent(info.This().As<Napi::Object>())](Napi::Env env, int) {
            return frozen(env, *capture);
          });
    });
  }

  Napi::Object frozen(Napi::Env env, const Capture& capture) const {
    const host_control& host = capture.host();
    const std::uint64_t epoch = packets_->frozen_epoch();
    Napi::Object object = Napi::Object::New(env);
    object.Set("epoch", number(env, epoch));
    object.Set("beginBootMicros", number(env, host.boundary_boot_ns[epoch & 1] / 1000));
    object.Set("endBootMicros", number(env, host.boundary_boot_ns[(epoch + 1) & 1] / 1000));
    object.Set("keys", number(env, frozen_.entries.size()));
    Napi::Array classes = Napi::Array::New(env);
    for (const ClassCount& counted : frozen_.classes) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("slot", counted.slot);
      entry.Set("trafficClass", static_cast<std::uint32_t>(counted.traffic_class));
      entry.Set("packets", number(env, counted.count.packets));
      entry.Set("bytes", number(env, counted.count.bytes));
      classes.Set(classes.Length(), entry);
    }
    object.Set("classes", classes);
    Napi::Array pending = Napi::Array::New(env);
    for (const std::uint64_t packets : frozen_.packets) pending.Set(pending.Length(), number(env, packets));
    object.Set("packets", pending);
    return object;
  }

  Napi::Value take(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      auto buffer = info[0].As<Napi::Uint8Array>();
      const std::size_t from = std::min<std::size_t>(unsigned_of(info[1]), frozen_.entries.size());
      const std::size_t count = std::min(buffer.ByteLength() / sizeof(PacketEntry), frozen_.entries.size() - from);
      std::memcpy(buffer.Data(), frozen_.entries.data() + from, count * sizeof(PacketEntry));
      return number(info.Env(), count);
    });
  }

  void acknowledge(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const auto given = info[0].As<Napi::Object>();
      // -1 stands for none.
      const auto offset = [&](const char* name) {
        return static_cast<std::uint64_t>(given.Get(name).As<Napi::Number>().Int64Value() + 1);
      };
      packet_commit commit = packets().maps().commit();
      commit.epoch = packets().frozen_epoch();
      commit.first_offset = offset("firstOffset");
      commit.last_offset = offset("lastOffset");
      const auto published = given.Get("published").As<Napi::Array>();
      for (std::uint32_t i = 0; i < published.Length(); i++) {
        const auto entry = published.Get(i).As<Napi::Object>();
        const std::uint64_t slot = unsigned_of(entry.Get("slot"));
        if (slot < PACKET_INTERFACES) commit.published[slot] += unsigned_of(entry.Get("packets"));
      }
      packets().acknowledge(commit);
    });
  }

  Napi::Value clear_frozen(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      return in_background(
          info.Env(),
          [this, capture = capture()] {
            packets_->clear_frozen();
            return 0;
          },
          [self = Persistent(info.This().As<Napi::Object>())](Napi::Env env, int) { return env.Undefined(); });
    });
  }

  Napi::Value fill(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return number(info.Env(), packets().fill()); });
  }

  Napi::Value backlog(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return number(info.Env(), packets().backlog()); });
  }

  std::weak_ptr<Capture> capture_;
  // The capture's.
  PacketCapture* packets_ = nullptr;
  FrozenCounts frozen_;
};

}  // namespace

Napi::Function define_packets(Napi::Env env) { return PacketsWrap::define(env); }

Napi::Value open_packets(Napi::Env env, const std::shared_ptr<Capture>& capture, const Napi::Object& options) {
  auto owner = capture;
  return env.GetInstanceData<Classes>()->packets.New(
      {Napi::External<std::shared_ptr<Capture>>::New(env, &owner), options});
}

Napi::Array packet_totals(Napi::Env env, const std::vector<PacketTotals>& totals, const Capture& capture) {
  Napi::Array list = Napi::Array::New(env);
  for (const PacketTotals& of : totals) {
    const packet_interface& interface = capture.packets()->maps().interfaces()[of.slot];
    Napi::Object object = Napi::Object::New(env);
    object.Set("slot", of.slot);
    object.Set("interfaceIndex", number(env, interface.index));
    object.Set("name", interface.name);
    object.Set("unobservedMicros", number(env, interface.unobserved_ns / 1000));
    set_counters(object, of.counters);
    list.Set(list.Length(), object);
  }
  return list;
}

Napi::Array final_packets(Napi::Env env, const std::vector<FinalPackets>& totals) {
  Napi::Array list = Napi::Array::New(env);
  for (const FinalPackets& of : totals) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", of.name);
    object.Set("seen", number(env, of.counters.seen.packets));
    object.Set("filtered", number(env, of.counters.classes[PACKET_CLASS_FILTERED].packets));
    object.Set("published", number(env, of.published));
    set_offsets(object, of.first_offset, of.last_offset);
    object.Set("discarded", number(env, of.discarded));
    list.Set(list.Length(), object);
  }
  return list;
}

}  // namespace bpf2kafka
