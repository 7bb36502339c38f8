#!/bin/sh
# Removes what set-up and builds have made in the checkout. What a sidecar keeps (its state directory, programs pinned
# in the kernel) and packages of the system stay.
set -eu
cd "$(dirname "$0")/.."
removed=no
for path in node_modules build dist .cache; do
  [ -e "$path" ] || continue
  size=$(du -sh "$path" | cut -f1)
  rm -rf "$path"
  printf 'clean: removed %s (%s)\n' "$path" "$size"
  removed=yes
done
[ $removed = yes ] || printf 'clean: nothing to remove\n'
