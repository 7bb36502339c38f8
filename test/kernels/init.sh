#!/bin/busybox sh
# The first process of a guest. Runs CHECKOUT/test/kernels/guest-worker.ts on the host's root file system, which lies
# read-only under an overlay in memory, then powers the machine off. What is printed goes to the serial console.
# The kernel hands over as environment what the host wrote on its command line: CHECKOUT, and BUILD, the directory that
# takes the place of CHECKOUT/build when given.
/bin/busybox mkdir -p /proc /sys /dev /host /memory /root
/bin/busybox --install -s /bin
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec >/dev/console 2>&1

fail() {
  printf 'guest: %s\n' "$1"
  poweroff -f
}

for module in /modules/*.ko; do
  insmod "$module" || fail "$module cannot be loaded"
done

mount -t virtiofs -o ro host /host || fail 'the root file system of the host cannot be mounted'
mount -t tmpfs memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root || fail 'no overlay'
# Out of the way of the empty file systems below, one of which may stand where the checkout is.
mkdir /checkout
mount --bind "/root$CHECKOUT" /checkout || fail "$CHECKOUT is not there"
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mount -t tmpfs tmpfs /root/tmp
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t bpf bpf /root/sys/fs/bpf
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t debugfs debugfs /root/sys/kernel/debug
mkdir -p "/root$CHECKOUT"
mount --bind /checkout "/root$CHECKOUT"
[ -z "${BUILD-}" ] || mount --bind "/root$BUILD" "/root$CHECKOUT/build" || fail "$BUILD is not there"
ip link set lo up

for port in /sys/class/virtio-ports/*; do
  if [ "$(cat "$port/name")" = vitest ]; then export CHANNEL="/dev/${port##*/}"; fi
done
[ -n "${CHANNEL-}" ] || fail 'no channel to the host'
export CHECKOUT HOME=/root NODE_COMPILE_CACHE="$CHECKOUT/.cache/compiled"
# shellcheck disable=SC2016
chroot /root /bin/sh -c '
  PATH=$CHECKOUT/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  cd "$CHECKOUT" && exec node -e "import(\"./test/kernels/guest-worker.ts\").then(({ serve }) => serve(process.env.CHANNEL))"' </dev/null
poweroff -f
