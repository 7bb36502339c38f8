#include "pin_access.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

#include "error.h"

namespace bpf2kafka {

namespace {

// By the ends of their names: a link holds a program in its place, slot 0 says which program runs, and the other two are
// read by programs only. The link of an interface is no such: it alone tells whether the program is still there.
constexpr std::array<std::string_view, 4> kept_by_root = {"_link", "_programs", "_handoff", "_marks"};

bool is_given(std::string_view name) {
  for (const std::string_view end : kept_by_root)
    if (name.ends_with(end)) return false;
  return true;
}

// What is so already is left alone: to change the mode of what another user has would take one more capability.
void set_access(const std::string& path, const struct stat& found, uid_t user, gid_t group, mode_t mode) {
  if ((found.st_mode & 07777) != mode && ::chmod(path.c_str(), mode) != 0) fail("set the mode of", path, errno);
  if (found.st_uid == user && found.st_gid == group) return;
  if (::lchown(path.c_str(), user, group) != 0)
    fail("give", path, errno, "to hand a file to another user takes the capability CAP_CHOWN");
}

void give_directory(const std::string& path, uid_t user, gid_t group) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) fail("list", path, errno);
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string child = path + "/" + name;
    struct stat found{};
    if (::lstat(child.c_str(), &found) != 0) fail("look at", child, errno);
    if (S_ISDIR(found.st_mode))
      give_directory(child, user, group);
    else if (is_given(name))
      // The group stays that of who attached, who so can go on with it without the right to pass over permissions.
      set_access(child, found, user, found.st_gid, 0660);
  }
  struct stat found{};
  if (::fstat(::dirfd(directory.get()), &found) != 0) fail("look at", path, errno);
  // The directory last: until then nobody passes it.
  set_access(path, found, found.st_uid, group, 0750);
}

}  // namespace

void give_pins(const PinPaths& paths, uid_t user, gid_t group) { give_directory(paths.directory(), user, group); }

}  // namespace bpf2kafka
