#!/bin/sh
# Makes anew what in docs comes from the code.
set -eu
cd "$(dirname "$0")/.."
node_modules/.bin/node scripts/records-page.ts
node_modules/.bin/node scripts/siem-page.ts
node_modules/.bin/node scripts/metrics-page.ts
exec node_modules/.bin/node scripts/config-schema.ts
