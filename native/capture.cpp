#include "capture.h"

#include <time.h>
#include <unistd.h>

#include <cstdlib>

#include "error.h"
#include "pin_access.h"

namespace bpf2kafka {

namespace {

// The maps of execs are there in any case, since exits share some: of the smallest ring.
constexpr std::uint64_t idle_ring_bytes = 64 * 1024;

constexpr long long clock_tolerance_ns = 5'000'000;
// An offset counts from a little later than it is written, so that no record of before can get it.
constexpr unsigned long long clock_notice_ns = 100'000'000;

// Wall time minus time since boot; of several readings the one that was interrupted least.
long long realtime_minus_boot_ns() {
  long long best = 0, narrowest = -1;
  for (int i = 0; i < 5; i++) {
    const auto before = static_cast<long long>(boot_nanoseconds());
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const auto after = static_cast<long long>(boot_nanoseconds());
    if (narrowest < 0 || after - before < narrowest) {
      narrowest = after - before;
      best = now.tv_sec * 1'000'000'000LL + now.tv_nsec - (before + narrowest / 2);
    }
  }
  return best;
}

void add_clock_offset(host_control& host, unsigned long long from_boot_ns, long long offset) {
  host.clock[host.clock_count % CLOCK_OFFSETS] = {.from_boot_ns = from_boot_ns, .realtime_minus_boot_ns = offset};
  __atomic_store_n(&host.clock_count, host.clock_count + 1, __ATOMIC_RELEASE);
}

void refuse_backlog(std::uint64_t records, std::uint64_t spooled, const std::optional<PinnedPackets>& packets, const std::string& pin_path) {
  const std::uint64_t counted = packets ? packets->backlog() : 0;
  if (!records && !counted && !spooled) return;
  std::string left = records ? std::to_string(records) + " records" : "";
  if (counted) left += (records ? " and " : "") + std::to_string(counted) + " packets";
  if (!left.empty()) left += " in the kernel";
  if (spooled) left += (left.empty() ? "" : " and ") + std::to_string(spooled) + " records in the spool";
  throw Error("ERR_BACKLOG", "detach", pin_path, 0, left + " have not been acknowledged by a broker");
}

void add_totals(std::vector<PacketTotals>& all, const PacketTotals& more) {
  for (PacketTotals& totals : all) {
    if (totals.slot != more.slot) continue;
    totals.counters = totals.counters + more.counters;
    return;
  }
  all.push_back(more);
}

}  // namespace

// The first that is constructed, so that a kernel that cannot do it is refused by the feature's name, and nothing is made
// where something is only to be found.
Capture::KernelCheck::KernelCheck(const std::string& pin_path, bool attached) {
  if (attached) {
    if (!is_there(pin_path)) throw not_attached(pin_path, "nothing is pinned there");
    return;
  }
  require_kernel_features();
  mount_kernel_file_systems(pin_path);
}

Capture::Capture(const std::string& pin_path, const CaptureSettings& settings)
    : check_(pin_path, settings.attached),
      paths_(pin_path),
      settings_(settings),
      lock_(paths_),
      barrier_(settings.attached ? Barrier(paths_) : Barrier()),
      exec_(paths_, "exec") {
  settings_.exec.idle = settings_.exec_ring_bytes == 0;
  paths_.refuse_other_layouts();
  resumed_ = is_complete();
  if (settings.attached && !resumed_) throw not_attached(pin_path, "what is pinned there has captured nothing");
  if (settings.exit_ring_bytes) exit_.emplace(paths_, "exit");
  if (resumed_)
    resume();
  else
    create();
  control().owner = {.pid = static_cast<__u64>(::getpid()), .start_boot_ns = boot_nanoseconds()};
  sync_clock();
  heartbeat();
}

Capture::~Capture() {
  if (host_mapping_.as<host_control>()) control().owner = {};
}

// A start that was killed before everything was pinned has captured nothing: it is begun anew.
bool Capture::is_complete() const {
  const std::optional<host_control> host = read_host(paths_);
  return host && host->complete == 1;
}

// What loads the programs lets go of them at the end: from then on the pins and the arrays alone keep them.
void Capture::create() {
  paths_.remove_layout();
  paths_.create_directories();
  try {
    const unsigned long long now = boot_nanoseconds();
    const std::uint64_t attach_id = now / 1000;
    ExecPrograms exec(settings_.exec);
    const bool captures_execs = settings_.exec_ring_bytes > 0;
    exec_.create(exec, captures_execs ? settings_.exec_ring_bytes : idle_ring_bytes, attach_id, now);
    host_mapping_ = map_pinned(paths_, "host", sizeof(host_control));

    host_control& shared = control();
    shared.pin_layout = PIN_LAYOUT_VERSION;
    shared.attach_id = attach_id;
    shared.epoch = attach_id;
    shared.boundary_boot_ns[shared.epoch & 1] = now;
    add_clock_offset(shared, 0, realtime_minus_boot_ns());

    std::optional<ExitPrograms> exit;
    if (exit_) exit_->create(exit.emplace(), settings_.exit_ring_bytes, attach_id, now);
    __atomic_store_n(&shared.complete, 1, __ATOMIC_RELEASE);
    if (captures_execs)
      exec_.attach(exec, shared.exec, now);
    else
      exec_.stay_detached(shared.exec);
    if (exit_) exit_->attach(*exit, shared.exit, now);
  } catch (...) {
    // Nothing was captured: leave nothing behind.
    try {
      paths_.remove();
    } catch (const Error&) {
    }
    throw;
  }
}

void Capture::resume() {
  host_mapping_ = map_pinned(paths_, "host", sizeof(host_control));
  host_control& shared = control();
  if (shared.pin_layout != PIN_LAYOUT_VERSION)
    throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths_.directory(), 0,
                "it has layout " + std::to_string(shared.pin_layout) + ", this version " + std::to_string(PIN_LAYOUT_VERSION));
  if (settings_.attached) return resume_attached();
  if (settings_.exec_ring_bytes) {
    ExecPrograms exec(settings_.exec);
    exec_.resume(exec, settings_.exec_ring_bytes, shared.exec, shared.attach_id, barrier_);
  } else {
    exec_.open();
    exec_.stay_detached(shared.exec);
  }
  if (!exit_) return;
  ExitPrograms exit;
  if (exit_->is_pinned())
    return exit_->resume(exit, settings_.exit_ring_bytes, shared.exit, shared.attach_id, barrier_);
  const unsigned long long now = boot_nanoseconds();
  exit_->create(exit, settings_.exit_ring_bytes, shared.attach_id, now);
  exit_->attach_late(exit, shared.exit, shared.attach_id, now);
}

void Capture::resume_attached() {
  host_control& shared = control();
  if (settings_.exec_ring_bytes) {
    exec_.resume_attached(ExecPrograms(settings_.exec), shared.exec);
  } else {
    exec_.open();
    exec_.stay_detached(shared.exec);
  }
  if (!exit_) return;
  if (!exit_->is_pinned()) throw not_attached(paths_.directory(), "it does not capture exits");
  exit_->resume_attached(ExitPrograms(), shared.exit);
}

void Capture::exclude(std::vector<ExecRule> rules) {
  if (settings_.attached)
    throw Error("ERR_NOT_ATTACHED", "replace the rules of", paths_.directory(), 0, "they come with a program, and this process loads none");
  const std::lock_guard<std::mutex> lock(ending_);
  ExecSettings settings = settings_.exec;
  settings.excluded = std::move(rules);
  ExecPrograms programs(settings);
  exec_.replace(programs, barrier_);
}

bool Capture::has_pinned_execs() const { return is_there(paths_.link("exec")) || exec_.backlog() > 0; }

bool Capture::has_pinned_exits() const { return EventStream(paths_, "exit").is_pinned(); }

void Capture::begin_advance() {
  if (advancing_.exchange(true)) throw Error("ERR_ADDON", "end", "the epoch", EBUSY, "it is being ended already");
}

EpochCut Capture::advance_epoch() {
  const struct Claim {
    std::atomic<bool>& claimed;
    ~Claim() { claimed = false; }
  } claim{advancing_};
  const std::lock_guard<std::mutex> lock(ending_);
  host_control& shared = control();
  if (packets_) packets_->require_cleared();
  EpochCut cut;
  cut.epoch = shared.epoch;
  const std::uint64_t next = cut.epoch + 1;

  // The set of the epoch before this one: nobody adds to it after the barrier, and the next epoch, which
  // will, has not begun.
  barrier_.wait();
  cut.exec = exec_.begin_cut(next & 1);
  if (exit_) cut.exit = exit_->begin_cut(next & 1);
  if (packets_) cut.packets = packets_->totals(next & 1);

  cut.begin_boot_ns = shared.boundary_boot_ns[cut.epoch & 1];
  cut.end_boot_ns = boot_nanoseconds();
  shared.boundary_boot_ns[next & 1] = cut.end_boot_ns;
  __atomic_store_n(&shared.epoch, next, __ATOMIC_SEQ_CST);

  // Now every run that latched the old epoch has ended, and its set stands still.
  barrier_.wait();
  exec_.end_cut(cut.exec, cut.epoch & 1);
  if (exit_) exit_->end_cut(*cut.exit, cut.epoch & 1);
  // An interface that was entered meanwhile is in the second list only; its idle set is empty.
  for (const PacketTotals& frozen : packets_ ? packets_->totals(cut.epoch & 1) : std::vector<PacketTotals>())
    add_totals(cut.packets, frozen);
  return cut;
}

void Capture::heartbeat() {
  __u64& until = control().read_until;
  const __u64 next = settings_.orphan_after_ns ? monotonic_nanoseconds() + settings_.orphan_after_ns : 0;
  __u64 found = __atomic_load_n(&until, __ATOMIC_ACQUIRE);
  do {
    if (!(found & ORPHANED)) continue;
    const __u64 now = boot_nanoseconds();
    add_unobserved(now - (found & ~ORPHANED));
    // So that a start that is killed here counts that time once.
    __atomic_store_n(&until, found = ORPHANED | now, __ATOMIC_RELEASE);
  } while (!__atomic_compare_exchange_n(&until, &found, next, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
}

// To whatever was attached meanwhile; the time without a program is counted from the detachment on.
void Capture::add_unobserved(std::uint64_t ns) {
  host_control& shared = control();
  if (!shared.exec.detached_boot_ns) shared.exec.unobserved_ns += ns;
  if (exit_ && !shared.exit.detached_boot_ns) shared.exit.unobserved_ns += ns;
  if (auto packets = PinnedPackets::open(paths_, shared)) packets->add_unobserved(ns);
}

void Capture::sync_clock() {
  host_control& shared = control();
  const long long offset = realtime_minus_boot_ns();
  const clock_offset& newest = shared.clock[(shared.clock_count - 1) % CLOCK_OFFSETS];
  if (std::llabs(offset - newest.realtime_minus_boot_ns) > clock_tolerance_ns)
    add_clock_offset(shared, boot_nanoseconds() + clock_notice_ns, offset);
}

PacketCapture& Capture::open_packets(const PacketSettings& settings) {
  if (packets_) throw Error("ERR_ADDON", "open", "the packets", EBUSY, "they are open already");
  // Counts that a reader which was killed may have left frozen are not written to any more.
  barrier_.wait();
  packets_ = std::make_unique<PacketCapture>(paths_, host(), settings, settings_.attached);
  return *packets_;
}

bool Capture::has_pinned_packets() const { return PinnedPackets::open(paths_, host()).has_value(); }

void Capture::give_to(uid_t user, gid_t group) const {
  barrier_.pin(paths_);
  give_pins(paths_, user, group);
}

void Capture::detach() {
  const std::lock_guard<std::mutex> lock(ending_);
  if (packets_) packets_->detach_all();
  exec_.detach(control().exec, barrier_);
  if (exit_) exit_->detach(control().exit, barrier_);
  barrier_.wait();
}

void Capture::unpin() { paths_.remove(); }

std::optional<FinalTotals> detach_pinned(const std::string& pin_path, bool discard) {
  if (!is_there(pin_path)) return std::nullopt;
  const PinPaths paths(pin_path);
  const OwnerLock lock(paths);
  paths.refuse_other_layouts();

  FinalTotals totals;
  const std::optional<host_control> host = read_host(paths);
  if (host && host->complete) {
    EventStream exec(paths, "exec");
    exec.open();
    EventStream exit(paths, "exit");
    const bool has_exits = exit.is_pinned();
    if (has_exits) exit.open();
    const auto backlog = [&] { return exec.backlog() + (has_exits ? exit.backlog() : 0); };
    std::optional<PinnedPackets> packets = PinnedPackets::open(paths, *host);
    if (!discard) refuse_backlog(backlog(), exec.spool_backlog(), packets, pin_path);
    const Mapping host_mapping = map_pinned(paths, "host", sizeof(host_control));
    auto& shared = *host_mapping.as<host_control>();
    const Barrier barrier;
    exec.detach(shared.exec, barrier);
    if (has_exits) exit.detach(shared.exit, barrier);
    if (packets) packets->detach();
    barrier.wait();
    // What came between the first look and the end: the pins stay, for a start that publishes it.
    if (!discard) refuse_backlog(backlog(), exec.spool_backlog(), packets, pin_path);

    totals.attach_id = host->attach_id;
    totals.epoch = host->epoch;
    totals.exec = exec.final_totals();
    if (has_exits) totals.exit = exit.final_totals();
    if (packets) totals.packets = packets->final_totals();
  }
  paths.remove();
  return totals;
}

}  // namespace bpf2kafka
