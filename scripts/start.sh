#!/bin/sh
# Standard output belongs to the sidecar: what set-up says goes to standard error.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh" >&2
exec "$root/node_modules/.bin/node" "$root/bin/bpf2kafka.js" start "$@"
