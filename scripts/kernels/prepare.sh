#!/bin/sh
# Makes what the tests in virtual machines need, and nothing that is there already: the packages that emulate, the
# kernels, an addon with kernel programs of the oldest clang. Where that cannot be, the reason goes to
# .cache/kernels/unavailable, which the tests print. BPF2KAFKA_KERNELS names a directory with unpacked kernels, in
# subdirectories named by series, for systems whose package sources are not Debian's. `--fetch`: only what needs no set-up
# of the checkout.
set -eu
cd "$(dirname "$0")/../.."
cache=$(pwd)/.cache/kernels
log=$cache/prepare.log
kernels=${BPF2KAFKA_KERNELS:-$cache}
oldest_clang=14

unavailable() {
  printf '%s\n' "$1" >"$cache/unavailable"
  printf 'kernels: %s\n' "$1"
  exit 0
}

step() { # WHAT COMMAND...
  printf 'kernels: %s ... ' "$1"
  shift
  begun=$(date +%s)
  if "$@" >>"$log" 2>&1 </dev/null; then
    printf '%s s\n' $(($(date +%s) - begun))
  else
    printf 'failed, see %s\n' "$log"
    return 1
  fi
}

has_virtiofsd() { [ -x /usr/lib/qemu/virtiofsd ] || [ -x /usr/libexec/virtiofsd ]; }

list_missing() {
  missing=
  command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
  has_virtiofsd || missing="$missing virtiofsd"
  # The guest has no C library when it starts.
  busybox cpio --help >/dev/null 2>&1 || missing="$missing busybox-static"
  [ -x /usr/bin/clang-$oldest_clang ] || missing="$missing clang-$oldest_clang"
}

# Up to Debian 12 virtiofsd is a part of QEMU's packages; a clang that is offered no more is left out.
install_packages() {
  packages=
  for package in $missing; do
    if apt-cache show "$package" >/dev/null 2>&1; then packages="$packages $package"; fi
  done
  [ -n "$packages" ] || return 0
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages
}

set_up_packages() {
  list_missing
  if [ -n "$missing" ] && command -v apt-get >/dev/null; then
    step "installing packages:$missing" install_packages || true
    list_missing
  fi
  # The tests do with one clang.
  missing=$(printf '%s' "$missing" | sed "s/ clang-$oldest_clang//")
  [ -z "$missing" ] || unavailable "the packages that emulate a machine are missing:$missing"
}

set_up_kernels() {
  lacking=
  for series in $1; do [ -e "$kernels/$series/vmlinuz" ] || lacking="$lacking $series"; done
  if [ -n "$lacking" ] && [ -z "${BPF2KAFKA_KERNELS-}" ]; then
    command -v apt-get >/dev/null || unavailable 'there is no apt: name a directory with kernels in BPF2KAFKA_KERNELS'
    # shellcheck disable=SC2086
    step "fetching Debian's kernels$lacking" sh scripts/kernels/fetch.sh "$kernels" $lacking ||
      unavailable "$(tail -n 1 "$log")"
  fi
  for series in $1; do
    [ -e "$kernels/$series/vmlinuz" ] || continue
    initramfs=$cache/$series.initramfs
    if [ ! -e "$initramfs" ] || [ -n "$(find scripts/kernels test/kernels/init.sh "$kernels/$series/vmlinuz" -newer "$initramfs")" ]; then
      sh scripts/kernels/initramfs.sh "$kernels/$series" "$(command -v busybox)" test/kernels/init.sh "$initramfs"
    fi
  done
}

build_with_oldest_clang() {
  node_modules/.bin/node node_modules/cmake-js/bin/cmake-js compile --directory native --out "$1" \
    --parallel "$(nproc)" --CDBPF_CLANG=/usr/bin/clang-$oldest_clang --CDADDON_OF="$(pwd)/build"
}

set_up_build() {
  [ -x /usr/bin/clang-$oldest_clang ] || return 0
  build=$cache/clang-$oldest_clang
  addon=$build/Release/bpf2kafka.node
  if [ ! -e "$addon" ] || [ build/Release/bpf2kafka.node -nt "$addon" ]; then
    step "building the kernel programs with clang-$oldest_clang" build_with_oldest_clang "$build"
  fi
}

# The guests read it there, and would take seconds for each start (test/kernels/init.sh).
compile_for_guests() { NODE_COMPILE_CACHE=.cache/compiled node_modules/.bin/node scripts/kernels/compile.ts; }

mkdir -p "$cache"
rm -f "$cache/unavailable"
: >"$log"
[ "$(uname -m)" = x86_64 ] || unavailable 'the kernels of the tests are for x86_64'
[ "$(id -u)" = 0 ] || unavailable 'sharing the file system with a virtual machine needs root'
set_up_packages
set_up_kernels '5.10 6.1 6.12 6.18 7.3'
[ "${1-}" = --fetch ] || { set_up_build && compile_for_guests; }
