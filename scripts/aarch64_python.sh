#!/usr/bin/env bash
# Debian's Python for arm64, unpacked below ROOT, with its headers: scripts/aarch64_python.sh ROOT 3.11
#
# To compile against, and to run by qemu-aarch64 -L ROOT ROOT/usr/bin/python3.11. Nothing is installed.
set -euo pipefail

version=$2
[ ! -e "$1/usr/bin/python$version" ] || exit 0
mkdir -p "$1/packages"
root=$(cd "$1" && pwd)
cd "$root/packages"
if ! dpkg --print-foreign-architectures | grep -qx arm64; then
    dpkg --add-architecture arm64
    apt-get update -q
fi
# The headers alone, without what they depend on: another libc's would be found beside them.
needed=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "python$version:arm64" | grep -o '^[a-z].*:arm64$')
for name in $needed libstdc++6:arm64 "libpython$version-dev:arm64"; do  # C++'s for wheels of others
    apt-get download -q "$name"
done
for package in *.deb; do
    dpkg-deb -x "$package" "$root"
done
