#!/bin/sh
# Installs the browser that the test of the live page opens, where the distribution has it as a package and not as a snap.
set -eu
command -v chromium >/dev/null && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  printf 'chromium: not here, and it takes apt and root to install it\n'
  exit 0
fi
version=$(apt-cache policy chromium 2>/dev/null | sed -n 's/^ *Candidate: *//p')
case $version in
  '' | '(none)' | *snap*) printf 'chromium: this distribution has no package of it\n'; exit 0 ;;
esac
printf 'chromium: installing %s ... ' "$version"
begun=$(date +%s)
if DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends chromium \
  >.cache/chromium.log 2>&1 </dev/null; then
  printf '%s s\n' $(($(date +%s) - begun))
else
  printf 'failed, see .cache/chromium.log\n'
fi
