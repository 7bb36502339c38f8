// The compiled programs of one stream of events, from the object file that is built into the addon to their pins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi.h"
#include "bpf_object.h"
#include "layout.h"
#include "pins.h"

namespace bpf2kafka {

// Whose names begin with that of the stream: its maps (bpf/stream.h), the programs NAME_dispatch and NAME_record, the
// struct NAME_record.
class EventPrograms {
 public:
  const std::string& stream() const { return stream_; }

  // How records are laid out.
  RecordLayout layout() const;
  // Tells whether what is pinned came from these, with these settings.
  std::uint64_t hash() const { return hash_; }

  virtual ~EventPrograms() = default;

  // What finds no room in the ring has a second one, for its beginning.
  bool has_bare_ring() const { return object_.has_map(map("_bare_ring").c_str()); }

  // Creates the maps that are not pinned yet, pins them, and loads the programs on them. A ring that is
  // pinned already must have ring_bytes. attachment: number of the dispatcher, as in struct attachment.
  void load(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment);

  // Loads the programs on maps that go with them: whether this kernel takes them.
  void try_load(std::uint64_t ring_bytes);

  // After load. Puts the program that writes records into slot 0, where every later run finds it.
  void install(const PinPaths& paths);
  // After install. Attaches the dispatcher and pins it and its link; the link's pin keeps it attached.
  void attach(const PinPaths& paths);

 protected:
  // enums: those that belong to the record.
  EventPrograms(std::string stream, const unsigned char* start, const unsigned char* end, std::vector<const char*> enums);

  // A constant of the programs that makes them others.
  template <typename T>
  void set(const char* constant, const T& value) {
    object_.set_constant(constant, value);
    mix(&value, sizeof(value));
  }
  // What else makes them others.
  void mix(const void* bytes, std::size_t count) { hash_ = fnv1a(bytes, count, hash_); }

  // Before and after the loading, and once the programs may run: what a stream has besides.
  virtual void prepare(const PinPaths&, std::uint64_t /* ring_bytes */, std::uint64_t /* attachment */) {}
  virtual void loaded() {}
  virtual void installed(const PinPaths&) {}
  // After the loading on trial.
  virtual void tried() {}

  void pin(const PinPaths& paths, const std::string& name) { pin_map(object_, paths, name); }
  // Of any object: the map is the pinned one, or is pinned at the loading.
  static void pin_map(BpfObject& object, const PinPaths& paths, const std::string& name);
  // Before the loading: one element for each possible CPU.
  static void size_by_cpu(BpfObject& object, const std::string& handoff);
  static void set_up_ring(BpfObject& object, const PinPaths& paths, const std::string& name, std::uint64_t bytes);
  // Puts a program into slot 0 of the array of a dispatcher.
  static void put_in_slot(BpfObject& object, const std::string& program, const std::string& programs);
  // Attaches a program; the pin of its link keeps it attached.
  static void attach_program(BpfObject& object, const std::string& program, const std::string& what,
                             const std::string& link_path);
  // What a ring of so many bytes has for bare records.
  static std::uint64_t bare_ring_bytes(std::uint64_t ring_bytes);

  const BpfObject& object() const { return object_; }
  BpfObject& object() { return object_; }

 private:
  std::string map(const char* suffix) const { return stream_ + suffix; }
  // Before the loading.
  void set_up(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment);

  std::string stream_;
  std::vector<const char*> enums_;
  BpfObject object_;
  std::uint64_t hash_ = 0;
};

class ExitPrograms : public EventPrograms {
 public:
  ExitPrograms();

 private:
  void prepare(const PinPaths& paths, std::uint64_t ring_bytes, std::uint64_t attachment) override;
};

}  // namespace bpf2kafka
