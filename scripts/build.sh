#!/bin/sh
# Makes dist: the JavaScript and the addon with its libraries, for the npm package and the image. A checkout runs the
# TypeScript itself. The package for everybody is built on Debian 12: what is built on a newer system needs its glibc.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh ${BPF2KAFKA_ADDON_ONLY:+--addon-only}
rm -rf dist
node_modules/.bin/node node_modules/.bin/tsc -p tsconfig.build.json
mkdir -p dist/schemas
cp src/schemas/*.avsc dist/schemas/
cp -r src/http/page dist/http/

addon=dist/addon/linux-$(node_modules/.bin/node -p process.arch)
mkdir -p "$addon/licences"
cp build/Release/bpf2kafka.node "$addon/"
# Beside it goes what it needs and what not every system has: all but the C and C++ run time, which Node.js needs too.
ldd build/Release/bpf2kafka.node | awk '$2 == "=>" { print $1, $3 }' |
  grep -vE '^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so' |
  while read -r name file; do
    cp -L "$file" "$addon/$name"
    # Whoever hands a library on hands its licence on.
    owner=$(dpkg -S "*/$(basename "$(readlink -f "$file")")" | head -n 1 | cut -d: -f1)
    if ! cp "/usr/share/doc/$owner/copyright" "$addon/licences/$owner"; then
      printf 'build: the licence of %s is not there: apt-get install --reinstall %s\n' "$name" "$owner" >&2
      exit 1
    fi
  done
needs=$(readelf -W --dyn-syms "$addon"/*.node "$addon"/*.so* | grep -o '@GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
printf 'build: %s files in dist; the addon needs glibc %s\n' "$(find dist -type f | wc -l)" "${needs#@GLIBC_}"
