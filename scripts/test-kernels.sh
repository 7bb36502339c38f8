#!/bin/sh
# Runs the tests of the kernel side in virtual machines. `--all`: the whole of test/bpf on every kernel with objects of
# both compilers, which takes long. `--json`: standard output is the table alone. Other arguments go on to vitest.
set -eu
cd "$(dirname "$0")/.."
projects='linux *'
for argument in "$@"; do
  shift
  case $argument in
    --project | --project=*) projects= && set -- "$@" "$argument" ;;
    --all) export BPF2KAFKA_KERNELS_TESTS=all ;;
    --json) json=yes ;;
    *) set -- "$@" "$argument" ;;
  esac
done
if [ "${json-}" = yes ]; then
  exec 3>&1 >&2
  export BPF2KAFKA_KERNELS_JSON=.cache/kernels/table.json
fi
sh scripts/setup.sh
sh scripts/kernels/prepare.sh
export BPF2KAFKA_TEST_KERNELS=alone
status=0
node_modules/.bin/node node_modules/vitest/vitest.mjs run ${projects:+--project "$projects"} "$@" || status=$?
if [ "${json-}" = yes ]; then cat "$BPF2KAFKA_KERNELS_JSON" >&3; fi
exit $status
