#!/bin/sh
# initramfs.sh KERNEL BUSYBOX INIT OUTPUT: makes an initramfs, from which the unpacked kernel boots INIT. It holds a static
# busybox and, in the order in which they can be loaded, the modules that the kernel has not built in.
set -eu
kernel=$1 busybox=$2 init=$3 output=$4
# The disk of the guest, its channel to the host, and what the tests of packets make interfaces of.
modules='virtio_pci virtiofs virtio_console overlay veth tun bridge 8021q dummy'

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/bin" "$directory/modules"
cp "$busybox" "$directory/bin/busybox"
cp "$init" "$directory/init"
chmod 755 "$directory/init"

number=100
added=' '
add() {
  case $added in *" $1 "*) return ;; esac
  added="$added$1 "
  pattern=$(printf '%s' "$1" | sed 's/[-_]/[-_]/g')
  file=$(find "$kernel" -name "$pattern.ko" -o -name "$pattern.ko.xz" | head -n 1)
  if [ -z "$file" ]; then return; fi # built in
  unpacked=$directory/modules/unpacked-$1
  case $file in
    *.xz) "$busybox" unxz -c "$file" >"$unpacked" ;;
    *) cp "$file" "$unpacked" ;;
  esac
  for needed in $(tr '\0' '\n' <"$unpacked" | sed -n 's/^depends=//p' | tr ',' ' '); do add "$needed"; done
  number=$((number + 1))
  mv "$directory/modules/unpacked-$1" "$directory/modules/$number-$1.ko"
}
for module in $modules; do add "$module"; done

(cd "$directory" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$output.unfinished"
mv "$output.unfinished" "$output"
