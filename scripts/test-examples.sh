#!/bin/sh
# Runs the consumers and detections of examples/ against real topics, those too that `npm test` leaves out because their
# engines take minutes to install: ClickHouse's has 900 MB. Arguments go on to vitest.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
export BPF2KAFKA_TEST_EXAMPLES=all
exec node_modules/.bin/node node_modules/vitest/vitest.mjs run --project integration \
  test/integration/consumers.test.ts test/integration/counters.test.ts test/integration/detections.test.ts "$@"
