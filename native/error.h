// The one kind of failure inside the addon; addon.cpp turns it into a JavaScript error.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace bpf2kafka {

struct Error : std::runtime_error {
  // code is one of ErrorCode in src/errors.ts; number is an errno, 0 when the kernel gave none.
  Error(std::string code, std::string operation, std::string subject, int number, std::string reason = {})
      : std::runtime_error(reason.empty() ? std::strerror(number) : reason),
        code(std::move(code)),
        operation(std::move(operation)),
        subject(std::move(subject)),
        number(number) {}

  std::string code;
  std::string operation;
  std::string subject;
  int number;
};

// What the system refused: missing rights are told apart from everything else.
[[noreturn]] inline void fail(const std::string& operation, const std::string& subject, int number,
                              const std::string& reason = {}) {
  const bool permission = number == EPERM || number == EACCES;
  throw Error(permission ? "ERR_PERMISSION" : "ERR_BPF", operation, subject, number, reason);
}

}  // namespace bpf2kafka
