#include "packet_capture.h"

#include <bpf/bpf.h>
#include <net/if.h>

#include "error.h"
#include "kernel.h"

namespace bpf2kafka {

namespace {

// A copy of the control map's element; `complete` is 0 when it is not pinned.
packet_control read_control(const PinPaths& paths) {
  packet_control control{};
  const Descriptor fd = open_pinned(paths.map("packet_control"));
  const __u32 key = 0;
  if (fd && bpf_map_lookup_elem(fd.get(), &key, &control) != 0) fail("read", paths.map("packet_control"), errno);
  return control;
}

void copy_name(char (&to)[INTERFACE_NAME_BYTES], const std::string& name) {
  std::memset(to, 0, sizeof(to));
  std::memcpy(to, name.data(), std::min(name.size(), sizeof(to) - 1));
}

// Of a program that is not ours: its name, as far as the kernel tells it.
std::string name_of_program(std::uint32_t id) {
  const std::string number = "program " + std::to_string(id);
  const Descriptor program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 bytes = sizeof(info);
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &bytes) != 0 || !info.name[0]) return number;
  return number + " (" + info.name + ")";
}

bool has_program(const std::vector<Interface>& present, std::uint32_t index) {
  for (const Interface& interface : present)
    if (interface.index == index) return interface.has_program;
  // The kernel may leave one out of a list that changes while it is read.
  char name[IF_NAMESIZE];
  return ::if_indextoname(index, name) != nullptr;
}

}  // namespace

PacketCapture::PacketCapture(const PinPaths& paths, const host_control& host, const PacketSettings& settings, bool attached)
    : host_(host),
      attached_(attached),
      program_hash_(programs_.hash(settings.excluded)),
      resumed_(read_control(paths).complete == 1),
      maps_(prepare(paths, settings)),
      links_(paths) {
  packet_control& control = maps_.control();
  if (!resumed_) {
    control.layout_hash = programs_.layout().hash();
    control.key_kind = settings.key_kind;
    control.flows = settings.flows;
    control.network_namespace = network_namespace();
    control.acked_epoch = control.cleared_epoch = frozen_epoch();
    control.commits[0].epoch = control.acked_epoch;
  }
  if (attached_) return;
  replaced_program_ = resumed_ && control.program_hash != program_hash_;
  // Always, since it also brings the settings of this start.
  links_.update(programs_.program());
  control.program_hash = program_hash_;
  __atomic_store_n(&control.complete, 1, __ATOMIC_RELEASE);
}

// Loads the program on maps that are pinned then.
const PinPaths& PacketCapture::prepare(const PinPaths& paths, PacketSettings settings) {
  if (!resumed_) {
    if (attached_) throw not_attached(paths.directory(), "it counts no packets");
    // What a start left that was killed before it had counted anything.
    paths.remove_packets();
  } else {
    const packet_control control = read_control(paths);
    if (control.layout_hash != programs_.layout().hash())
      throw Error("ERR_PIN_LAYOUT", "read the packet counts in", paths.directory(), 0,
                  "a version with another key layout made them");
    if (control.network_namespace != network_namespace())
      throw Error("ERR_PIN_LAYOUT", "count packets in", paths.directory(), 0,
                  "the capture that goes on was begun in another network namespace");
    settings.key_kind = static_cast<packet_key_kind>(control.key_kind);
    settings.flows = static_cast<std::uint32_t>(control.flows);
    if (attached_ && control.program_hash != program_hash_)
      throw not_attached(paths.directory(), "the packet program is of another version, or excludes other addresses");
  }
  if (attached_) return paths;
  try {
    programs_.load(paths, settings);
  } catch (...) {
    if (!resumed_) paths.remove_packets();
    throw;
  }
  return paths;
}

void PacketCapture::acknowledge(const packet_commit& commit) {
  // What it says is added to what was said before.
  if (maps_.control().acked_epoch == commit.epoch)
    throw Error("ERR_ADDON", "acknowledge the counts of", "epoch " + std::to_string(commit.epoch), EALREADY,
                "they are acknowledged already");
  maps_.acknowledge(commit);
}

void PacketCapture::clear_frozen() {
  const std::uint64_t epoch = frozen_epoch();
  packet_control& control = maps_.control();
  if (control.acked_epoch != epoch)
    throw Error("ERR_ADDON", "clear the counts of", "epoch " + std::to_string(epoch), EBUSY, "they are not acknowledged");
  maps_.clear(epoch & 1);
  __atomic_store_n(&control.cleared_epoch, epoch, __ATOMIC_RELEASE);
}

void PacketCapture::require_cleared() const {
  if (maps_.control().cleared_epoch != frozen_epoch())
    throw Error("ERR_ADDON", "end", "the epoch", EBUSY, "the packets of the one before it are not acknowledged");
}

std::vector<PacketTotals> PacketCapture::totals(unsigned parity) const {
  std::vector<PacketTotals> totals;
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++)
    if (maps_.interfaces()[slot].index)
      totals.push_back({.slot = slot, .counters = maps_.counters(slot, parity)});
  return totals;
}

packet_interface& PacketCapture::enter(const Interface& interface) {
  if (const auto slot = maps_.slot_of(interface.index)) {
    packet_interface& known = maps_.interfaces()[*slot];
    if (interface.name != known.name)
      throw Error("ERR_BPF", "count packets on", interface.name, EBUSY,
                  "its index " + std::to_string(interface.index) + " is that of " + known.name +
                      " in the account of this capture");
    return known;
  }
  for (std::uint32_t probe = 0; probe < PACKET_PROBES; probe++) {
    packet_interface& entry = maps_.interfaces()[(interface.index + probe) % PACKET_INTERFACES];
    if (entry.index) continue;
    entry.link_type = interface.has_link_header ? PACKET_LINK_ETHERNET : PACKET_LINK_IP;
    copy_name(entry.name, interface.name);
    copy_name(entry.kind, interface.kind);
    copy_name(entry.parent, interface.parent);
    __atomic_store_n(&entry.index, interface.index, __ATOMIC_RELEASE);
    return entry;
  }
  throw Error("ERR_BPF", "count packets on", interface.name, ENOSPC,
              "the table of interfaces has no place left for it; it is made anew when the capture is detached");
}

// An interface that never had the program has no account; one that stayed in the table would say that nothing came in.
void PacketCapture::leave(packet_interface& entry) {
  const auto slot = static_cast<std::uint32_t>(&entry - maps_.interfaces());
  const bool counted = maps_.counters(slot, 0).seen.packets || maps_.counters(slot, 1).seen.packets;
  if (!entry.observed_boot_ns && !counted) entry = {};
}

Attached PacketCapture::attach(const Interface& interface) {
  if (interface.has_program)
    throw Error("ERR_BPF", "count packets on", interface.name, EBUSY,
                "it has another XDP program, " + name_of_program(interface.program_id) + ", which is left alone");
  if (attached_)
    throw Error("ERR_NOT_ATTACHED", "count packets on", interface.name, 0, "it was not there, or not up, when the rest was attached");
  packet_interface& entry = enter(interface);
  Attached attached;
  try {
    attached = links_.attach(interface.index, interface.name, programs_.program());
  } catch (const Error&) {
    leave(entry);
    throw;
  }
  const std::uint64_t now = boot_nanoseconds();
  entry.mode = attached.mode;
  if (entry.observed_boot_ns) entry.unobserved_ns += now - entry.observed_boot_ns;
  entry.observed_boot_ns = now;
  return attached;
}

std::vector<std::uint32_t> PacketCapture::attached(const std::vector<Interface>& present) {
  std::vector<std::uint32_t> indices;
  for (const std::uint32_t index : links_.attached()) {
    // A link stays with its interface when that moves to another network namespace. The index that it gets there may be
    // that of another interface here, and its packets would be counted as that one's.
    if (has_program(present, index))
      indices.push_back(index);
    else
      links_.detach(index);
  }
  observe(indices);
  return indices;
}

void PacketCapture::observe(const std::vector<std::uint32_t>& indices) {
  const std::uint64_t now = boot_nanoseconds();
  for (const std::uint32_t index : indices)
    if (const auto slot = maps_.slot_of(index)) maps_.interfaces()[*slot].observed_boot_ns = now;
}

void PacketCapture::detach(std::uint32_t index) {
  if (attached_)
    throw Error("ERR_NOT_ATTACHED", "take the packet program off", "interface " + std::to_string(index), 0,
                "it was attached with the rest");
  links_.detach(index);
}

void PacketCapture::detach_all() {
  observe(links_.attached());
  links_.detach_all();
}

PinnedPackets::PinnedPackets(const PinPaths& paths, const host_control& host)
    : epoch_(host.epoch), maps_(paths), links_(paths) {}

std::optional<PinnedPackets> PinnedPackets::open(const PinPaths& paths, const host_control& host) {
  if (read_control(paths).complete != 1) return std::nullopt;
  return PinnedPackets(paths, host);
}

void PinnedPackets::detach() { links_.detach_all(); }

void PinnedPackets::add_unobserved(std::uint64_t ns) {
  for (const std::uint32_t index : links_.attached())
    if (const auto slot = maps_.slot_of(index)) maps_.interfaces()[*slot].unobserved_ns += ns;
}

std::vector<FinalPackets> PinnedPackets::final_totals() const {
  const std::vector<std::uint64_t> discarded = maps_.unacknowledged(epoch_);
  const packet_commit& commit = maps_.commit();
  std::vector<FinalPackets> totals;
  for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++) {
    const packet_interface& interface = maps_.interfaces()[slot];
    if (!interface.index) continue;
    totals.push_back({.name = interface.name,
                      .counters = maps_.counters(slot, 0) + maps_.counters(slot, 1),
                      .published = commit.published[slot],
                      .first_offset = commit.first_offset,
                      .last_offset = commit.last_offset,
                      .discarded = discarded[slot]});
  }
  return totals;
}

}  // namespace bpf2kafka
