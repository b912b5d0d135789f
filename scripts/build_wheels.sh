#!/usr/bin/env bash
# Wheels for other machines: scripts/build_wheels.sh [x86_64] [aarch64], for the Python that runs it, into dist/.
#
# Compiled by the Clang of Zig (ziglang, from the package index) against the glibc of 2018: what a distribution's own
# compiler links runs on no older system than it. auditwheel then says what the wheel may be called, or refuses.
# OMNIGGML_PORTABLE, so for any CPU of docs/install.md's table. scripts/try_wheel.sh runs what comes out.
#
# Needs Linux on x86-64 and Python 3.10 or later with its headers; for aarch64 Debian's apt, which has a Python's headers
# for it, of the same version as the one that runs this.
set -euo pipefail
cd "$(dirname "$0")/.."

glibc=2.28
python=${PYTHON:-python3}
work=$PWD/build/wheels
tag=$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')

"$python" -m venv "$work/venv"
PATH=$work/venv/bin:$PATH
pip install --quiet --disable-pip-version-check -r scripts/wheel-requirements.txt
zig=$(python -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')

# CMake asks for programs without arguments. One that is there already keeps its age, and so what it compiled.
program() {
    printf '#!/bin/sh\n# %s\nexec "%s" %s "$@"\n' "$("$zig" version)" "$zig" "$2" >"$1.new"
    chmod +x "$1.new"
    cmp -s "$1.new" "$1" || mv "$1.new" "$1"
}

build() {
    local arch=$1 tools=$work/$1/tools
    shift
    rm -rf "$work/$arch/raw"
    mkdir -p "$tools" "$work/$arch/raw"
    program "$tools/cc" "cc -target $arch-linux-gnu.$glibc"
    program "$tools/c++" "c++ -target $arch-linux-gnu.$glibc"
    program "$tools/ar" ar
    program "$tools/ranlib" ranlib
    CC=$tools/cc CXX=$tools/c++ pip wheel --no-build-isolation --no-deps --quiet --disable-pip-version-check . \
        --wheel-dir "$work/$arch/raw" \
        -Cbuild-dir="$work/$arch/build" \
        -Ccmake.define.OMNIGGML_PORTABLE=ON \
        -Ccmake.define.OMNIGGML_WERROR=ON \
        -Ccmake.define.OMNIGGML_TEST_MODULE=OFF \
        -Ccmake.define.CMAKE_AR="$tools/ar" \
        -Ccmake.define.CMAKE_RANLIB="$tools/ranlib" \
        "$@"
    # By itself auditwheel takes the oldest name that the wheel's symbols allow; it can't be asked for one of another
    # architecture.
    rm -f dist/*-manylinux_*"$arch".whl
    auditwheel repair "$work/$arch/raw"/*.whl --plat auto --wheel-dir dist
    local minor
    for minor in 5 12 17 24 26 27 28; do
        if compgen -G "dist/*-manylinux_2_${minor}_$arch*.whl" >/dev/null; then
            return
        fi
    done
    echo "auditwheel grants nothing as old as manylinux_${glibc/./_}" >&2
    exit 1
}

x86_64() {
    build x86_64
}

aarch64() {
    scripts/aarch64_python.sh "$work/aarch64/root" "$tag"
    local include=$work/aarch64/root/usr/include
    # What a Python of that architecture would say of itself.
    export _PYTHON_HOST_PLATFORM=linux-aarch64
    export SETUPTOOLS_EXT_SUFFIX=.cpython-${tag/./}-aarch64-linux-gnu.so
    build aarch64 \
        -Ccmake.define.CMAKE_SYSTEM_NAME=Linux \
        -Ccmake.define.CMAKE_SYSTEM_PROCESSOR=aarch64 \
        -Ccmake.define.PYTHON_MODULE_EXTENSION="$SETUPTOOLS_EXT_SUFFIX" \
        -Ccmake.define.Python_INCLUDE_DIR="$include/python$tag" \
        -Ccmake.define.CMAKE_CXX_FLAGS="-idirafter $include"
}

for arch in "${@:-x86_64}"; do
    "$arch"
done
ls -l dist/*.whl
