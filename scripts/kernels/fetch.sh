#!/bin/sh
# fetch.sh DIRECTORY SERIES...: unpacks Debian's newest kernel of each series into DIRECTORY/SERIES, with a link vmlinuz.
# Nothing is installed. Package lists are kept apart from the system's; mirrors and keys are those the system uses.
set -eu
directory=$1
shift
state=$directory/apt

# A link to the kernel image itself, wherever its package has it.
link_image() {
  image=$(cd "$1" && find . -name 'vmlinuz*' -type f | head -n 1)
  [ -n "$image" ] && ln -sfn "$image" "$1/vmlinuz"
}

mirror_of() { # LABEL
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^Debian|$1|//p" | head -n 1
}

apt_options() {
  printf '%s\n' -q "-oDir::Etc::sourcelist=$state/sources.list" -oDir::Etc::sourceparts=/dev/null \
    -oDir::Etc::preferencesparts=/dev/null "-oDir::State::lists=$state/lists" "-oDir::Cache=$state/cache" \
    -oDir::State::status=/dev/null -oAPT::Sandbox::User=root -oAcquire::Languages=none -oAcquire::Retries=3
}

update_lists() {
  mirror=$(mirror_of Debian)
  security=$(mirror_of Debian-Security)
  if [ -z "$mirror" ] || [ -z "$security" ]; then
    printf 'no mirror of Debian is among the package sources of this system\n' >&2
    exit 1
  fi
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  keys=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg
  # Where each series was found: 5.10 bullseye, 6.1 and 6.12 bookworm, later ones trixie-backports.
  for suite in "$security bookworm-security" "$security bullseye-security" "$mirror trixie-backports" "$mirror bookworm"; do
    printf 'deb [%s] %s main\n' "$keys" "$suite"
  done >"$state/sources.list"
  # shellcheck disable=SC2046
  apt-get $(apt_options) update >&2
}

# All packages of kernel images of the series, newest first; later series have image and modules in packages apart.
images_of() {
  series=$(printf '%s' "$1" | sed 's/\./\\./g')
  # shellcheck disable=SC2046
  apt-cache $(apt_options) pkgnames "linux-" |
    grep -E "^linux-(image|binary)-$series\.[0-9][0-9.+a-z-]*-cloud-amd64(-unsigned)?\$" | sort -Vr
}

unpack() { # INTO PACKAGE...
  into=$1
  shift
  rm -rf "$state/packages" "$into"
  mkdir -p "$state/packages" "$into"
  # shellcheck disable=SC2046
  (cd "$state/packages" && apt-get $(apt_options) download "$@" >&2) || return 1
  for package in "$state"/packages/*.deb; do dpkg -x "$package" "$into"; done
  rm -rf "$into/usr/share" "$state/packages"
  link_image "$into"
}

fetch() { # SERIES
  # A mirror may list a version that it has no more: the next one then. One without an image only names another package.
  for image in $(images_of "$1"); do
    version=${image#linux-*-}
    case $image in
      linux-binary-*) unpack "$directory/unfinished" "$image" "linux-modules-${version%-unsigned}" || continue ;;
      *) unpack "$directory/unfinished" "$image" || continue ;;
    esac
    rm -rf "${directory:?}/$1"
    mv "$directory/unfinished" "$directory/$1"
    printf '%s: %s\n' "$1" "$image"
    return
  done
  printf '%s: no such kernel on the mirrors\n' "$1" >&2
}

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
state=$directory/apt
missing=
for series in "$@"; do [ -e "$directory/$series/vmlinuz" ] || missing="$missing $series"; done
[ -n "$missing" ] || exit 0
update_lists
for series in $missing; do fetch "$series"; done
