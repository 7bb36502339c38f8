#include "capture.h"

#include <sys/stat.h>
#include <time.h>

#include <cstdlib>

#include "error.h"
#include "kernel.h"

namespace bpf2kafka {

namespace {

constexpr long long clock_tolerance_ns = 5'000'000;
// An offset counts from a little later than it is written, so that no record of before can get it.
constexpr unsigned long long clock_notice_ns = 100'000'000;

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

Mapping map_control(const PinPaths& paths, const char* name, std::size_t bytes) {
  const Descriptor fd = open_pinned(paths.map(name));
  if (!fd) throw Error("ERR_BPF", "open the pinned", paths.map(name), ENOENT);
  return Mapping(fd.get(), bytes, PROT_READ | PROT_WRITE, 0, name);
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

}  // namespace

Capture::Capture(const std::string& pin_path, std::uint64_t ring_bytes) : paths_(pin_path) {
  require_kernel_features();
  mount_kernel_file_systems(pin_path);
  lock_ = OwnerLock(paths_);
  paths_.refuse_other_layouts();
  resumed_ = is_complete();
  if (resumed_)
    resume();
  else
    create(ring_bytes);
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
    programs_.load(paths_, ring_bytes);
    open_maps();

    const unsigned long long now = boot_nanoseconds();
    host_control& shared = control();
    shared.pin_layout = PIN_LAYOUT_VERSION;
    shared.attach_id = now / 1000;
    shared.epoch = shared.attach_id;
    shared.boundary_boot_ns[shared.epoch & 1] = now;
    add_clock_offset(shared, 0, realtime_minus_boot_ns());
    stream_mapping_.as<stream_control>()->seq = shared.attach_id;

    ring_ = std::make_unique<ExecRing>(open_pinned(paths_.map("exec_ring")),
                                       open_pinned(paths_.map("exec_ring_control")));
    ring_->control()->layout_hash = programs_.layout_hash();
    ring_->control()->program_hash = programs_.hash();
    ring_->control()->ring_bytes = ring_->ring_bytes();

    programs_.install();
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
  ring_ = std::make_unique<ExecRing>(std::move(ring), std::move(ring_control_map));
  if (ring_->control()->layout_hash != programs_.layout_hash())
    throw Error("ERR_PIN_LAYOUT", "read the records in", paths_.directory(), 0,
                "a version with another record layout wrote them");

  replaced_program_ = ring_->control()->program_hash != programs_.hash();
  const bool attached = exists(paths_.link());
  if (attached && !replaced_program_) return;
  programs_.load(paths_, ring_->ring_bytes());
  programs_.install();
  ring_->control()->program_hash = programs_.hash();
  if (!attached) programs_.attach(paths_);
}

void Capture::sync_clock() {
  host_control& shared = control();
  const long long offset = realtime_minus_boot_ns();
  const clock_offset& newest = shared.clock[(shared.clock_count - 1) % CLOCK_OFFSETS];
  if (std::llabs(offset - newest.realtime_minus_boot_ns) > clock_tolerance_ns)
    add_clock_offset(shared, boot_nanoseconds() + clock_notice_ns, offset);
}

void Capture::detach() {
  if (::unlink(paths_.link().c_str()) != 0 && errno != ENOENT) fail("unpin", paths_.link(), errno);
  barrier();
}

void Capture::unpin() { paths_.remove(); }

std::int64_t detach_pinned(const std::string& pin_path, bool discard) {
  if (!exists(pin_path)) return -1;
  const PinPaths paths(pin_path);
  const OwnerLock lock(paths);
  paths.refuse_other_layouts();

  Descriptor ring = open_pinned(paths.map("exec_ring"));
  Descriptor control = open_pinned(paths.map("exec_ring_control"));
  std::int64_t backlog = 0;
  if (ring && control) {
    const ExecRing reader(std::move(ring), std::move(control));
    backlog = static_cast<std::int64_t>(reader.backlog());
    if (backlog > 0 && !discard)
      throw Error("ERR_BACKLOG", "detach", pin_path, 0,
                  std::to_string(backlog) + " records in the kernel have not been acknowledged by a broker");
    if (::unlink(paths.link().c_str()) != 0 && errno != ENOENT) fail("unpin", paths.link(), errno);
    barrier();
    backlog = static_cast<std::int64_t>(reader.backlog());
  }
  paths.remove();
  return backlog;
}

}  // namespace bpf2kafka
