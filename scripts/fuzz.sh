#!/bin/sh
# Fuzzes the native reader of the ring with sanitizers. Arguments go on to libFuzzer; without any it runs for a minute.
# An input that ends it is kept in .cache/fuzz; test/fuzz/corpus has those of the past, and each run begins with them.
# Exit code 69: there is no libFuzzer.
set -eu
cd "$(dirname "$0")/.."
cache=$(pwd)/.cache/fuzz
sanitizers='-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all'
# libFuzzer writes what it makes of the corpus into the first directory that it is given.
rm -rf "$cache/new"
mkdir -p "$cache/new"

# The runtimes are a package beside the compiler's own.
has_runtimes() {
  # shellcheck disable=SC2086
  printf 'extern "C" int LLVMFuzzerTestOneInput(const char *, unsigned long) { return 0; }\n' |
    "$1" $sanitizers -x c++ - -o "$cache/probe" 2>/dev/null
}

compilers() { printf '%s\n' /usr/bin/clang++-[0-9]* | sed -n 's/.*clang++-\([0-9][0-9]*\)$/\1/p' | sort -rn; }

find_compiler() {
  for version in $(compilers); do
    if has_runtimes "/usr/bin/clang++-$version"; then
      compiler=/usr/bin/clang++-$version
      return 0
    fi
  done
  return 1
}

install_runtimes() {
  newest=$(compilers | head -n 1)
  [ -n "$newest" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
    "libclang-rt-$newest-dev" >>"$cache/install.log" 2>&1 || true
}

if ! find_compiler; then
  install_runtimes
  if ! find_compiler; then
    echo 'fuzz: no clang++ here has libFuzzer and AddressSanitizer (Debian: libclang-rt-19-dev)' >&2
    exit 69
  fi
fi

# --wrap: the target puts pages around what the reader maps.
# shellcheck disable=SC2086
"$compiler" -std=c++20 -g -O1 $sanitizers -Wall -Wextra -Inative -Ibpf \
  test/fuzz/event_ring.cpp native/event_ring.cpp -Wl,--wrap=mmap -Wl,--wrap=munmap -o "$cache/event_ring"
[ $# -gt 0 ] || set -- -max_total_time=60
exec "$cache/event_ring" -artifact_prefix="$cache/" -error_exitcode=1 -max_len=512 -timeout=5 "$@" \
  "$cache/new" test/fuzz/corpus
