#!/bin/sh
# Fuzzes a part of the addon with sanitizers: scripts/fuzz.sh event_ring|record_writer [ARGUMENTS OF libFuzzer]. Without
# arguments of its own it runs for a minute, and without a name both do, one after the other.
# An input that ends it is kept in .cache/fuzz-TARGET; test/fuzz/corpus has those of the past, and each run begins with them.
# Exit code 69: there is no libFuzzer.
set -eu
cd "$(dirname "$0")/.."
if [ $# = 0 ]; then
  sh scripts/fuzz.sh event_ring
  exec sh scripts/fuzz.sh record_writer
fi
target=$1
shift
case $target in
# --wrap: the target puts pages around what the reader maps.
event_ring) sources='native/event_ring.cpp -Wl,--wrap=mmap -Wl,--wrap=munmap' ;;
record_writer) sources='native/avro.cpp native/learned.cpp native/record_program.cpp native/record_writer.cpp native/written_items.cpp' ;;
*)
  echo "fuzz: there is no target $target: event_ring or record_writer" >&2
  exit 2
  ;;
esac
cache=$(pwd)/.cache/fuzz-$target
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

# shellcheck disable=SC2086
"$compiler" -std=c++20 -g -O1 $sanitizers -Wall -Wextra -Wno-missing-field-initializers -Inative -Ibpf \
  "test/fuzz/$target.cpp" $sources -o "$cache/target"
[ $# -gt 0 ] || set -- -max_total_time=60
exec "$cache/target" -artifact_prefix="$cache/" -error_exitcode=1 -max_len=512 -timeout=5 "$@" \
  "$cache/new" "test/fuzz/corpus/$target"
