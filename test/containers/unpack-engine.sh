#!/bin/sh
# unpack-engine.sh DIRECTORY: a Docker engine with Compose and buildx out of the distribution's packages, unpacked into
# DIRECTORY and not installed. Exits with 3 and a reason where the distribution offers none that is new enough.
set -eu
unfinished=$1.unfinished
rm -rf "$unfinished"
mkdir -p "$unfinished/packages"
cd "$unfinished/packages"

command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo 'this system has no apt-get'; exit 3; }
# shellcheck disable=SC1091
. /etc/os-release

download() { apt-get -q -o APT::Sandbox::User=root "$@"; }

case $ID:${VERSION_ID:-} in
  debian:12)
    # Debian 12 has engine 20.10, which does not know CAP_BPF. The one of Debian 13 runs with the C library of 12, its
    # runc does not. Package lists of our own, so that the system's stay what they are.
    mkdir -p ../apt/parts ../apt/lists/partial
    apt=$(cd ../apt && pwd)
    mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
      "$mirror" >"$apt/parts/trixie.sources"
    newer="-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$apt/parts -o Dir::State::lists=$apt/lists
      -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    # shellcheck disable=SC2086
    download $newer update
    # shellcheck disable=SC2086
    download $newer download docker.io docker-cli docker-compose docker-buildx containerd
    download download runc || { download update && download download runc; }
    ;;
  debian:*)
    download update
    download download docker.io docker-cli docker-compose docker-buildx containerd runc
    ;;
  ubuntu:*)
    download update
    download download docker.io docker-compose-v2 docker-buildx containerd runc
    ;;
  *)
    echo "no engine is known for ${PRETTY_NAME:-this system}"
    exit 3
    ;;
esac

# For the names of containers in a network, inside the containers' own namespaces.
if ! command -v iptables >/dev/null; then
  download download iptables libxtables12 libip4tc2 libip6tc2 libnftnl11 libnfnetlink0 libmnl0 libnetfilter-conntrack3
fi

for package in *.deb; do dpkg -x "$package" "$unfinished"; done
cd "$unfinished"
rm -rf packages apt
if [ -e usr/sbin/xtables-nft-multi ]; then
  cat >usr/sbin/iptables <<'SCRIPT'
#!/bin/sh
usr=$(dirname "$(dirname "$(readlink -f "$0")")")
libraries=$(echo "$usr"/lib/*-linux-gnu)
LD_LIBRARY_PATH=$libraries XTABLES_LIBDIR=$libraries/xtables exec "$usr/sbin/xtables-nft-multi" "$(basename "$0")" "$@"
SCRIPT
  chmod +x usr/sbin/iptables
  cp usr/sbin/iptables usr/sbin/ip6tables
fi
mkdir -p config/cli-plugins
for plugin in usr/libexec/docker/cli-plugins/*; do ln -s "../../$plugin" config/cli-plugins/; done
mv "$unfinished" "$1"
