#include "packet_capture.h"

#include <bpf/bpf.h>

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

}  // namespace

PacketCapture::PacketCapture(const PinPaths& paths, const host_control& host, const PacketSettings& settings)
    : host_(host),
      resumed_(read_control(paths).complete == 1),
      maps_(prepare(paths, settings)),
      links_(paths) {
  packet_control& control = maps_.control();
  if (!resumed_) {
    control.layout_hash = programs_.layout_hash();
    control.key_kind = settings.key_kind;
    control.flows = settings.flows;
    control.network_namespace = network_namespace();
    control.acked_epoch = control.cleared_epoch = frozen_epoch();
    control.commits[0].epoch = control.acked_epoch;
  }
  replaced_program_ = resumed_ && control.program_hash != programs_.hash();
  // Always, since it also brings the settings of this start.
  links_.update(programs_.program());
  control.program_hash = programs_.hash();
  __atomic_store_n(&control.complete, 1, __ATOMIC_RELEASE);
}

// Loads the program on maps that are pinned then.
const PinPaths& PacketCapture::prepare(const PinPaths& paths, PacketSettings settings) {
  if (!resumed_) {
    // What a start left that was killed before it had counted anything.
    paths.remove_packets();
  } else {
    const packet_control control = read_control(paths);
    if (control.layout_hash != programs_.layout_hash())
      throw Error("ERR_PIN_LAYOUT", "read the packet counts in", paths.directory(), 0,
                  "a version with another key layout made them");
    if (control.network_namespace != network_namespace())
      throw Error("ERR_PIN_LAYOUT", "count packets in", paths.directory(), 0,
                  "the capture that goes on was begun in another network namespace");
    settings.key_kind = static_cast<packet_key_kind>(control.key_kind);
    settings.flows = static_cast<std::uint32_t>(control.flows);
  }
  try {
    programs_.load(paths, settings);
  } catch (...) {
    if (!resumed_) paths.remove_packets();
    throw;
  }
  return paths;
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

Attached PacketCapture::attach(const Interface& interface) {
  if (interface.has_program)
    throw Error("ERR_BPF", "count packets on", interface.name, EBUSY,
                "it has another XDP program, " + name_of_program(interface.program_id) + ", which is left alone");
  packet_interface& entry = enter(interface);
  const Attached attached = links_.attach(interface.index, interface.name, programs_.program());
  const std::uint64_t now = boot_nanoseconds();
  entry.mode = attached.mode;
  if (entry.observed_boot_ns) entry.unobserved_ns += now - entry.observed_boot_ns;
  entry.observed_boot_ns = now;
  return attached;
}

std::vector<std::uint32_t> PacketCapture::attached() {
  std::vector<std::uint32_t> indices = links_.attached();
  const std::uint64_t now = boot_nanoseconds();
  for (const std::uint32_t index : indices)
    if (const auto slot = maps_.slot_of(index)) maps_.interfaces()[*slot].observed_boot_ns = now;
  return indices;
}

void PacketCapture::detach_all() {
  (void)attached();
  links_.detach_all();
}

PinnedPackets::PinnedPackets(const PinPaths& paths, const host_control& host)
    : epoch_(host.epoch), maps_(paths), links_(paths) {}

std::optional<PinnedPackets> PinnedPackets::open(const PinPaths& paths, const host_control& host) {
  if (read_control(paths).complete != 1) return std::nullopt;
  return PinnedPackets(paths, host);
}

void PinnedPackets::detach() { links_.detach_all(); }

std::vector<std::uint64_t> PinnedPackets::unacknowledged() const {
  std::vector<std::uint64_t> packets(PACKET_INTERFACES);
  FrozenCounts counts;
  const auto add = [&](unsigned parity) {
    maps_.read(parity, counts);
    for (std::uint32_t slot = 0; slot < PACKET_INTERFACES; slot++) packets[slot] += counts.packets[slot];
  };
  add(epoch_ & 1);
  // Acknowledged counts may not be cleared yet.
  if (maps_.control().acked_epoch != epoch_ - 1) add((epoch_ - 1) & 1);
  return packets;
}

std::uint64_t PinnedPackets::backlog() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t packets : unacknowledged()) sum += packets;
  return sum;
}

std::vector<FinalPackets> PinnedPackets::final_totals() const {
  const std::vector<std::uint64_t> discarded = unacknowledged();
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
