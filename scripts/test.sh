#!/bin/sh
# Arguments go on to vitest: a part of a file's name, `--project unit`, `-t NAME`.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
exec node_modules/.bin/node node_modules/vitest/vitest.mjs run "$@"
