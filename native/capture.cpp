#include "capture.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdlib>

#include "error.h"

namespace bpf2kafka {

namespace {

constexpr long long clock_tolerance_ns = 5'000'000;
// An offset counts from a little later than it is written, so that no record of before can get it.
constexpr unsigned long long clock_notice_ns = 100'000'000;

bool exists(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail("look for", path, errno);
  return false;
}

Mapping map_control(const PinPaths& paths, const char* name, std::size_t bytes) {
  const Descriptor fd = open_pinned(paths.map(name));
  if (!fd) throw Error("ERR_BPF", "open the pinned", paths.map(name), ENOENT);
  return Mapping(fd.get(), bytes, PROT_READ | PROT_WRITE, 0, name);
}

// Empty for the pins of a version that had none.
ExecRuleTable open_rules(const PinPaths& paths) {
  const Descriptor fd = open_pinned(paths.map("exec_rules"));
  return fd ? ExecRuleTable(fd.get()) : ExecRuleTable();
}

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

std::uint64_t skipped_by(const Descriptor& dispatcher) {
  if (!dispatcher) return 0;
  bpf_prog_info info{};
  __u32 bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(dispatcher.get(), &info, &bytes) != 0) fail("inspect", "the dispatcher", errno);
  return info.recursion_misses;
}

// Tells the dispatcher to return at once, waits for runs that have begun, and unpins it. How soon the kernel then
// detaches it does not matter: unpinning alone leaves it attached for a grace period and a work queue's turn
// (kernel/bpf/inode.c, bpf_link_put in syscall.c), and to watch for its end takes CAP_SYS_ADMIN. Returns how many
// runs the kernel has skipped under it.
std::uint64_t end_dispatcher(const PinPaths& paths, host_control& host, const Barrier& barrier) {
  __atomic_store_n(&host.exec_attachment, 0, __ATOMIC_SEQ_CST);
  barrier.wait();
  const std::uint64_t skipped = skipped_by(open_pinned(paths.dispatcher()));
  remove_pin(paths.dispatcher());
  remove_pin(paths.link());
  return skipped;
}

void refuse_backlog(const EventRing& ring, const std::optional<PinnedPackets>& packets, const std::string& pin_path) {
  const std::uint64_t records = ring.backlog();
  const std::uint64_t counted = packets ? packets->backlog() : 0;
  if (!records && !counted) return;
  std::string left = records ? std::to_string(records) + " records" : "";
  if (counted) left += (records ? " and " : "") + std::to_string(counted) + " packets";
  throw Error("ERR_BACKLOG", "detach", pin_path, 0, left + " in the kernel have not been acknowledged by a broker");
}

stream_counters operator+(const stream_counters& a, const stream_counters& b) {
  return {.entered = a.entered + b.entered,
          .fell_through = a.fell_through + b.fell_through,
          .ring_full = a.ring_full + b.ring_full,
          .ring_busy = a.ring_busy + b.ring_busy};
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

// The first that is constructed, so that a kernel that cannot do it is refused by the feature's name.
Capture::KernelCheck::KernelCheck(const std::string& pin_path) {
  require_kernel_features();
  mount_kernel_file_systems(pin_path);
}

Capture::Capture(const std::string& pin_path, std::uint64_t ring_bytes, const ExecSettings& settings)
    : check_(pin_path), paths_(pin_path), settings_(settings) {
  lock_ = OwnerLock(paths_);
  paths_.refuse_other_layouts();
  resumed_ = is_complete();
  if (resumed_)
    resume();
  else
    create(ring_bytes);
  // Lets go of the programs that were loaded here: from now on the pins and the array alone keep them. What is
  // opened again is their description.
  programs_ = ExecPrograms();
  dispatcher_ = open_pinned(paths_.dispatcher());
  if (!dispatcher_) fail("open", "the dispatcher", errno);
  rules_ = open_rules(paths_);
  control().owner = {.pid = static_cast<__u64>(::getpid()), .start_boot_ns = boot_nanoseconds()};
  sync_clock();
}

Capture::~Capture() {
  if (host_mapping_.as<host_control>()) control().owner = {};
}

// A start that was killed before everything was pinned has captured nothing: it is begun anew.
bool Capture::is_complete() const {
  const std::optional<host_control> host = read_host(paths_);
  return host && host->complete == 1;
}

void Capture::open_maps() {
  host_mapping_ = map_control(paths_, "host", sizeof(host_control));
  stream_mapping_ = map_control(paths_, "exec_stream", sizeof(stream_control));
}

void Capture::create(std::uint64_t ring_bytes) {
  paths_.remove_layout();
  paths_.create_directories();
  try {
    const unsigned long long now = boot_nanoseconds();
    programs_.load(paths_, ring_bytes, settings_, now);
    open_maps();

    host_control& shared = control();
    shared.pin_layout = PIN_LAYOUT_VERSION;
    shared.attach_id = now / 1000;
    shared.epoch = shared.attach_id;
    shared.boundary_boot_ns[shared.epoch & 1] = now;
    add_clock_offset(shared, 0, realtime_minus_boot_ns());
    stream_mapping_.as<stream_control>()->seq = shared.attach_id;

    ring_ = std::make_unique<EventRing>(open_pinned(paths_.map("exec_ring")),
                                       open_pinned(paths_.map("exec_ring_control")));
    ring_->resume();
    ring_->control()->layout_hash = programs_.layout_hash();
    ring_->control()->ring_bytes = ring_->ring_bytes();

    install(programs_, settings_);
    shared.exec_attachment = now;
    __atomic_store_n(&shared.complete, 1, __ATOMIC_RELEASE);
    programs_.attach(paths_);
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
  open_maps();
  if (host().pin_layout != PIN_LAYOUT_VERSION)
    throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths_.directory(), 0,
                "it has layout " + std::to_string(host().pin_layout) + ", this version " + std::to_string(PIN_LAYOUT_VERSION));
  Descriptor ring = open_pinned(paths_.map("exec_ring"));
  Descriptor ring_control_map = open_pinned(paths_.map("exec_ring_control"));
  if (!ring || !ring_control_map)
    throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths_.directory(), 0, "its ring is missing");
  ring_ = std::make_unique<EventRing>(std::move(ring), std::move(ring_control_map));
  if (ring_->control()->layout_hash != programs_.layout_hash())
    throw Error("ERR_PIN_LAYOUT", "read the records in", paths_.directory(), 0,
                "a version with another record layout wrote them");
  ring_->resume();

  replaced_program_ = ring_->control()->program_hash != programs_.hash(settings_);
  const bool attached = exists(paths_.link()) && host().exec_attachment != 0;
  const std::uint64_t now = boot_nanoseconds();
  if (!attached || replaced_program_) {
    programs_.load(paths_, ring_->ring_bytes(), settings_, now);
    install(programs_, settings_);
  }
  if (!attached) {
    // Counted up to now and from now on, so that a start that is killed here loses nothing of it. One that was
    // killed before it had attached for the first time has observed nothing since its pins were made.
    host_control& shared = control();
    shared.unobserved_ns += now - (shared.detached_boot_ns ? shared.detached_boot_ns : shared.attach_id * 1000);
    shared.detached_boot_ns = now;
    // What an end that was killed half-way has left.
    remove_pin(paths_.dispatcher());
    remove_pin(paths_.link());
    __atomic_store_n(&shared.exec_attachment, now, __ATOMIC_RELEASE);
    programs_.attach(paths_);
  }
  control().detached_boot_ns = 0;
}

// Without a hash in between: a start that comes upon that does not know which of the two is installed.
void Capture::install(ExecPrograms& programs, const ExecSettings& settings) {
  __u64& hash = ring_->control()->program_hash;
  __atomic_store_n(&hash, 0, __ATOMIC_SEQ_CST);
  programs.install();
  __atomic_store_n(&hash, programs.hash(settings), __ATOMIC_SEQ_CST);
}

void Capture::exclude(std::vector<ExecRule> rules) {
  const std::lock_guard<std::mutex> lock(ending_);
  if (!dispatcher_) throw Error("ERR_ADDON", "replace the rules of", "the capture", EBADF, "it has ended");
  ExecSettings settings = settings_;
  settings.excluded = std::move(rules);
  ExecPrograms programs;
  programs.load(paths_, ring_->ring_bytes(), settings, host().exec_attachment);
  install(programs, settings);
  barrier_.wait();
}

stream_counters Capture::counters() const { return stream().counters[0] + stream().counters[1]; }

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
  const stream_control& counted = stream();
  if (packets_) packets_->require_cleared();
  EpochCut cut;
  cut.epoch = shared.epoch;
  const std::uint64_t next = cut.epoch + 1;

  // The set of the epoch before this one: nobody adds to it after the barrier, and the next epoch, which
  // will, has not begun.
  barrier_.wait();
  const stream_counters idle = counted.counters[next & 1];
  cut.filtered = rules_.filtered(next & 1);
  if (packets_) cut.packets = packets_->totals(next & 1);
  cut.seq = __atomic_load_n(&counted.seq, __ATOMIC_ACQUIRE);

  cut.begin_boot_ns = shared.boundary_boot_ns[cut.epoch & 1];
  cut.end_boot_ns = boot_nanoseconds();
  shared.boundary_boot_ns[next & 1] = cut.end_boot_ns;
  __atomic_store_n(&shared.epoch, next, __ATOMIC_SEQ_CST);

  // Now every run that latched the old epoch has ended, and its set stands still.
  barrier_.wait();
  cut.counters = idle + counted.counters[cut.epoch & 1];
  cut.filtered = std::move(cut.filtered) + rules_.filtered(cut.epoch & 1);
  // An interface that was entered meanwhile is in the second list only; its idle set is empty.
  for (const PacketTotals& frozen : packets_ ? packets_->totals(cut.epoch & 1) : std::vector<PacketTotals>())
    add_totals(cut.packets, frozen);
  cut.producer_position = ring_->producer_position();
  cut.skipped = counted.skipped_before + skipped_by(dispatcher_);
  return cut;
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
  packets_ = std::make_unique<PacketCapture>(paths_, host(), settings);
  return *packets_;
}

bool Capture::has_pinned_packets() const { return PinnedPackets::open(paths_, host()).has_value(); }

void Capture::detach() {
  const std::lock_guard<std::mutex> lock(ending_);
  if (packets_) packets_->detach_all();
  if (exists(paths_.link())) {
    dispatcher_.close();
    stream_mapping_.as<stream_control>()->skipped_before += end_dispatcher(paths_, control(), barrier_);
    control().detached_boot_ns = boot_nanoseconds();
  }
  barrier_.wait();
}

void Capture::unpin() { paths_.remove(); }

std::optional<FinalTotals> detach_pinned(const std::string& pin_path, bool discard) {
  if (!exists(pin_path)) return std::nullopt;
  const PinPaths paths(pin_path);
  const OwnerLock lock(paths);
  paths.refuse_other_layouts();

  FinalTotals totals;
  const std::optional<host_control> host = read_host(paths);
  if (host && host->complete) {
    EventRing ring(open_pinned(paths.map("exec_ring")), open_pinned(paths.map("exec_ring_control")));
    ring.resume();
    std::optional<PinnedPackets> packets = PinnedPackets::open(paths, *host);
    if (!discard) refuse_backlog(ring, packets, pin_path);
    const Mapping host_mapping = map_control(paths, "host", sizeof(host_control));
    const Mapping stream_mapping = map_control(paths, "exec_stream", sizeof(stream_control));
    auto& stream = *stream_mapping.as<stream_control>();
    const Barrier barrier;
    if (exists(paths.link())) {
      auto& shared = *host_mapping.as<host_control>();
      stream.skipped_before += end_dispatcher(paths, shared, barrier);
      shared.detached_boot_ns = boot_nanoseconds();
    }
    if (packets) packets->detach();
    barrier.wait();
    // What came between the first look and the end: the pins stay, for a start that publishes it.
    if (!discard) refuse_backlog(ring, packets, pin_path);

    totals.attach_id = host->attach_id;
    totals.epoch = host->epoch;
    totals.counters = stream.counters[0] + stream.counters[1];
    totals.filtered = open_rules(paths).filtered();
    totals.skipped = stream.skipped_before;
    totals.acknowledged = ring.totals()[USER_ACKNOWLEDGED];
    totals.undecodable = ring.totals()[USER_UNDECODABLE];
    totals.first_offset = ring.totals()[USER_FIRST_OFFSET];
    totals.last_offset = ring.totals()[USER_LAST_OFFSET];
    totals.discarded = ring.backlog();
    if (packets) totals.packets = packets->final_totals();
  }
  paths.remove();
  return totals;
}

}  // namespace bpf2kafka
