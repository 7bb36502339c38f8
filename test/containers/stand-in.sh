#!/bin/bash
# stand-in.sh java|node|kafka|registry TAG: an image out of what this machine has, for where none can be pulled. kafka and
# registry begin with the image that JAVA_IMAGE names, and take their program from the directory APPLICATION.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$1 tag=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
root=$place/root

# copy FILE...: to the same place in the image.
copy() {
  local file
  for file in "$@"; do
    mkdir -p "$root$(dirname "$file")"
    cp -nL "$file" "$root$file"
  done
}

# copy_libraries FILE...: what the programs and shared objects load.
copy_libraries() {
  local libraries
  mapfile -t libraries < <(ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib.*ld-/ { print $1 }' | sort -u)
  copy "${libraries[@]}"
}

# What a Debian base image would bring, as far as these images need it.
base() {
  mkdir -p "$root"/{bin,etc,root,var/lib,proc,sys,dev,run,usr/bin,lib64}
  mkdir -m 1777 "$root/tmp"
  local programs
  mapfile -t programs < <(type -P bash cat env grep head ls mkdir sed sleep tail tr)
  copy "${programs[@]}"
  copy_libraries "${programs[@]}"
  # What programs load by name at run time: name look-ups, and the native libraries in Java archives.
  local libc name
  libc=$(ldd /bin/bash | awk '$1 == "libc.so.6" { print $3 }')
  for name in libpthread.so.0 libdl.so.2 librt.so.1 libm.so.6 libresolv.so.2 libnss_files.so.2 libnss_dns.so.2; do
    copy "$(dirname "$libc")/$name"
  done
  [ -e "$root/bin/bash" ] || ln -s /usr/bin/bash "$root/bin/bash"
  ln -s bash "$root/bin/sh"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
}

import() { tar -C "$root" -c . | docker import "$@" - "$tag"; }

case $image in
  java)
    base
    java=$(dirname "$(dirname "$(readlink -f "$JAVA")")")
    mkdir -p "$root/opt/java"
    tar -C "$java" -ch --exclude=./jmods --exclude=./src.zip --exclude=./lib/src.zip --exclude=./man --exclude=./include \
      --exclude=./demo --exclude=./docs . | tar -C "$root/opt/java" -x
    mapfile -t objects < <(find "$java/lib" -name '*.so' ! -path '*/server/*')
    LD_LIBRARY_PATH=$java/lib:$java/lib/server copy_libraries "$java/bin/java" "${objects[@]}"
    rm -rf "$root$java"
    import -c 'ENV PATH=/opt/java/bin:/usr/bin:/bin JAVA_HOME=/opt/java'
    ;;
  node)
    base
    mkdir -p "$root/usr/local/bin"
    cp -L "$NODE" "$root/usr/local/bin/node"
    copy_libraries "$NODE"
    import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' -c 'CMD ["node"]'
    ;;
  kafka)
    cp -r "$APPLICATION" "$place/libs"
    cp "$here/kafka-run.sh" "$place/run"
    printf 'FROM %s\nCOPY libs /opt/kafka/libs\nCOPY run /etc/kafka/docker/run\nCMD ["sh", "/etc/kafka/docker/run"]\n' \
      "$JAVA_IMAGE" >"$place/Dockerfile"
    docker build -q -t "$tag" "$place"
    ;;
  registry)
    cp -r "$APPLICATION" "$place/app"
    printf 'FROM %s\nCOPY app /deployments\nWORKDIR /deployments\nENV QUARKUS_HTTP_PORT=8080\n%s\n' "$JAVA_IMAGE" \
      'CMD ["sh", "-c", "exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -jar *-runner.jar"]' >"$place/Dockerfile"
    docker build -q -t "$tag" "$place"
    ;;
esac
