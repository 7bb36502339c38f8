#!/bin/sh
# Arguments go on to vitest: a part of a file's name, `--project unit`, `-t NAME`.
set -eu
cd "$(dirname "$0")/.."
# What takes the network's time comes while set-up compiles; what it cannot do is told behind that.
if [ $# = 0 ]; then sh scripts/kernels/prepare.sh --fetch >/dev/null 2>&1 & fi
sh scripts/setup.sh
# The tests start the program hundreds of times, and half of a second of each start strips types and compiles.
export NODE_COMPILE_CACHE="$PWD/.cache/compiled"
if [ $# = 0 ]; then
  wait || true
  # Virtual machines take minutes: a part that is asked for by name goes without (scripts/test-kernels.sh is theirs).
  sh scripts/kernels/prepare.sh
  sh scripts/chromium.sh
  export BPF2KAFKA_TEST_KERNELS=beside
fi
exec node_modules/.bin/node node_modules/vitest/vitest.mjs run "$@"
