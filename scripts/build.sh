#!/bin/sh
# Emits JavaScript for the package and the image; a checkout runs the TypeScript itself.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
rm -rf dist
node_modules/.bin/node node_modules/.bin/tsc -p tsconfig.build.json
mkdir -p dist/schemas
cp src/schemas/*.avsc dist/schemas/
printf 'build: %s files in dist\n' "$(find dist -type f | wc -l)"
