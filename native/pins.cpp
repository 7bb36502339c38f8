#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "error.h"

namespace bpf2kafka {

namespace {

constexpr const char* packets_prefix = "packet_";
constexpr const char* packet_link_prefix = "packet_link_";

const std::array<const char*, 8> ring_maps = {
    "exec_ring", "exec_ring_control", "exec_bare_ring", "exec_bare_ring_control", "exec_layout",
    "exit_ring", "exit_ring_control", "exit_layout"};

std::vector<std::string> entries(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) {
    if (errno == ENOENT) return names;
    fail("list", path, errno);
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return;
  if (errno == ENOENT) {
    const auto slash = path.rfind('/');
    if (slash != std::string::npos && slash > 0) {
      make_directory(path.substr(0, slash));
      if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return;
    }
  }
  fail("create the pin directory", path, errno);
}

void remove_directory(const std::string& path) {
  for (const std::string& name : entries(path)) {
    const std::string child = path + "/" + name;
    struct stat status{};
    if (::lstat(child.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode))
      remove_directory(child);
    else if (::unlink(child.c_str()) != 0)
      fail("unpin", child, errno);
  }
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) fail("remove the pin directory", path, errno);
}

// Unpins what lies in the directory under names that begin so.
void remove_pins(const std::string& path, const std::string& prefix) {
  for (const std::string& name : entries(path)) {
    const std::string child = path + "/" + name;
    if (name.rfind(prefix, 0) == 0 && ::unlink(child.c_str()) != 0) fail("unpin", child, errno);
  }
}

Descriptor get_object(const std::string& path, bool read_only) {
  LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = read_only ? static_cast<__u32>(BPF_F_RDONLY) : 0);
  const int fd = bpf_obj_get_opts(path.c_str(), &options);
  if (fd < 0 && errno != ENOENT) fail("open the pinned", path, errno);
  return Descriptor(fd);
}

}  // namespace

std::string PinPaths::layout() const { return directory_ + "/v" + std::to_string(PIN_LAYOUT_VERSION); }
std::string PinPaths::generation() const { return layout() + "/g" + std::to_string(generation_); }

std::vector<std::uint32_t> PinPaths::generations() const {
  std::vector<std::uint32_t> numbers;
  for (const std::string& name : entries(layout()))
    if (name.size() > 1 && name[0] == 'g' && name.find_first_not_of("0123456789", 1) == std::string::npos)
      numbers.push_back(static_cast<std::uint32_t>(std::stoul(name.substr(1))));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}
std::string PinPaths::dispatcher(const std::string& stream) const { return layout() + "/" + stream + "_dispatcher"; }
std::string PinPaths::link(const std::string& stream) const { return layout() + "/" + stream + "_link"; }

std::string PinPaths::map(const std::string& name) const {
  for (const char* ring_map : ring_maps)
    if (name == ring_map) return generation() + "/" + name;
  return layout() + "/" + name;
}

std::string PinPaths::packet_link(std::uint32_t index) const {
  return layout() + "/" + packet_link_prefix + std::to_string(index);
}

std::vector<std::uint32_t> PinPaths::packet_links() const {
  std::vector<std::uint32_t> indices;
  for (const std::string& name : entries(layout()))
    if (name.rfind(packet_link_prefix, 0) == 0)
      indices.push_back(static_cast<std::uint32_t>(std::stoul(name.substr(std::strlen(packet_link_prefix)))));
  return indices;
}

void PinPaths::create_directories() const { make_directory(generation()); }

void PinPaths::remove() const { remove_directory(directory_); }
void PinPaths::remove_layout() const { remove_directory(layout()); }

void PinPaths::remove_stream(const std::string& stream) const {
  remove_pins(layout(), stream + "_");
  for (const std::uint32_t number : generations()) of_generation(number).remove_rings(stream);
}

void PinPaths::remove_rings(const std::string& stream) const { remove_pins(generation(), stream + "_"); }

void PinPaths::remove_packets() const { remove_pins(layout(), packets_prefix); }

void PinPaths::refuse_other_layouts() const {
  const std::string own = layout().substr(directory_.size() + 1);
  for (const std::string& name : entries(directory_))
    if (name != own)
      throw Error("ERR_PIN_LAYOUT", "use the pin directory", directory_, 0,
                  "it holds " + name + ", which this version (" + own + ") does not know");
}

OwnerLock::OwnerLock(const PinPaths& paths) {
  const std::string& path = paths.directory();
  // `detach` may remove the directory between our open and our lock: then lock the new one.
  for (int attempt = 0; attempt < 100; attempt++) {
    make_directory(path);
    Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
      if (errno == ENOENT) continue;
      fail("open the pin directory", path, errno);
    }
    if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail("lock the pin directory", path, errno);
      const std::optional<host_control> host = read_host(paths);
      const auto pid = host ? host->owner.pid : 0;
      throw Error("ERR_OWNED", "own the pinned programs in", path, EWOULDBLOCK,
                  pid ? "process " + std::to_string(pid) + " owns them" : "another process owns them");
    }
    struct stat locked{}, current{};
    if (::fstat(directory.get(), &locked) == 0 && ::stat(path.c_str(), &current) == 0 &&
        locked.st_ino == current.st_ino && locked.st_dev == current.st_dev) {
      directory_ = std::move(directory);
      return;
    }
  }
  throw Error("ERR_BPF", "lock the pin directory", path, 0, "it is removed again and again");
}

Error not_attached(const std::string& subject, const std::string& reason) {
  return Error("ERR_NOT_ATTACHED", "go on with the capture in", subject, 0, reason);
}

Descriptor open_pinned(const std::string& path) { return get_object(path, false); }

void remove_pin(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("unpin", path, errno);
}

bool is_there(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail("look for", path, errno);
  return false;
}

Mapping map_pinned(const PinPaths& paths, const std::string& name, std::size_t bytes) {
  const Descriptor fd = open_pinned(paths.map(name));
  if (!fd) throw Error("ERR_BPF", "open the pinned", paths.map(name), ENOENT);
  return Mapping(fd.get(), bytes, PROT_READ | PROT_WRITE, 0, name);
}

std::optional<host_control> read_host(const PinPaths& paths) {
  const Descriptor fd = get_object(paths.map("host"), true);
  if (!fd) return std::nullopt;
  const __u32 key = 0;
  host_control host{};
  if (bpf_map_lookup_elem(fd.get(), &key, &host) != 0) fail("read", paths.map("host"), errno);
  return host;
}

}  // namespace bpf2kafka
