#!/bin/sh
# Measures the targets, each beside its rival. Standard output belongs to the table; what set-up says goes to standard
# error. Arguments go on: `--only 1,4`, `--json`, `--help`.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh >&2
exec node_modules/.bin/node bench/main.ts "$@"
