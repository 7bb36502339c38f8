#!/bin/sh
# Style, types, and who may know whom. Runs all three and fails when one does.
set -u
cd "$(dirname "$0")/.."
sh scripts/setup.sh || exit 1
node=node_modules/.bin/node
failed=

run() {
  printf '\n-- %s\n' "$1"
  what=$1
  shift
  "$@" || failed="$failed $what"
}

check_dependencies() {
  report=.cache/dependencies.json
  rm -f "$report"
  # Its exit code is the number of violations, and 0 when its parser can read no file at all: the report decides.
  $node --import ./scripts/swc-using.ts node_modules/dependency-cruiser/bin/dependency-cruiser.mjs \
    --config .dependency-cruiser.cjs --output-type json --output-to "$report" src
  [ -s "$report" ] && $node scripts/lint-dependencies.ts "$report" "$(find src -name '*.ts' | wc -l)"
}

run biome $node node_modules/.bin/biome check --error-on-warnings .
run types $node node_modules/.bin/tsc --noEmit
run dependencies check_dependencies
if command -v shellcheck >/dev/null; then run shellcheck shellcheck scripts/*.sh scripts/kernels/*.sh test/kernels/*.sh; fi

if [ -n "$failed" ]; then
  printf '\nlint: failed:%s\n' "$failed"
  exit 1
fi
printf '\nlint: nothing found\n'
