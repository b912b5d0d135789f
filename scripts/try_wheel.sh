#!/usr/bin/env bash
# Installs a wheel as a user would and speaks with it, on this CPU and on others by qemu:
#
#   scripts/try_wheel.sh dist/omniggml-*x86_64.whl
#   scripts/try_wheel.sh dist/omniggml-*aarch64.whl    after the first, whose speech it compares with
#
# On every CPU that the wheel is for, the built-in voice says the same: as many samples, within the gate of bfloat16, which
# the vocoder computes in on some CPUs; below, a sentence says what is missing. A C program, compiled outside of the tree
# with what omniggml-config says, does both as well. Needs qemu-user.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
wheel=$(realpath "$1")
work=$here/build/wheels
said="good night"
arch=${wheel##*_}
arch=${arch%.whl}
[ "$arch" = aarch64 ] || arch=x86_64
out=$work/try/$arch
rm -rf "$out"
mkdir -p "$out"
cd "$out" # not in the tree
unset OPENBLAS_CORETYPE # which would have NumPy compute as this machine does, whatever qemu says

alike() {
    "$work/try/venv/bin/python" - "$1" "$work/try/x86_64/native.wav" "$2" <<'END'
import sys

import soundfile
from omniggml.comparison.agreement import GATES, agreement

(got, _), (want, _) = (soundfile.read(path) for path in sys.argv[1:3])
found = agreement(got, want) if got.shape == want.shape else None
print(f"{sys.argv[3]}: {len(got)} samples, NMSE {found.nmse:.2g}" if found else f"{sys.argv[3]}: {len(got)} and {len(want)} samples")
sys.exit(0 if found and found.inside(GATES["BF16"]) else 1)
END
}

refused() {
    local status=0
    "$@" >out.txt 2>err.txt || status=$?
    if [ "$status" != 1 ] || [ "$(wc -l <err.txt)" != 1 ] || ! grep -q "instructions that this CPU does not have" err.txt; then
        echo "no sentence: exit $status" && cat err.txt && exit 1
    fi
    echo "refused: $(grep -o '(.*)' err.txt)"
}

speaks() {
    local name=$1
    shift
    "$@" -m omniggml speak "$said" --output "$name.wav" 2>err.txt || { cat err.txt && exit 1; }
    alike "$name.wav" "$name"
}

# The program, the voice and where to find the library.
speaks_from_c() {
    local name=$1
    shift
    printf %s "$said" | "$@" "$voice" "c-$name.wav" 2>err.txt || { cat err.txt && exit 1; }
    alike "c-$name.wav" "C, $name"
}

try_x86_64() {
    python3 -m venv "$work/try/venv"
    "$work/try/venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
    "$work/try/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel"
    local python=$work/try/venv/bin/python config=$work/try/venv/bin/omniggml-config
    "$python" -m omniggml speak "$said" --output native.wav >/dev/null
    voice=$("$config" --voicedir)/voice-speech.gguf
    # shellcheck disable=SC2046
    cc -std=c99 "$here/examples/embed-c/speak.c" $("$config" --cflags --libs) -o speak
    speaks native "$python"
    speaks_from_c native ./speak
    for cpu in Haswell Skylake-Server-v1; do
        speaks "$cpu" qemu-x86_64 -cpu "$cpu" "$python"
        speaks_from_c "$cpu" qemu-x86_64 -cpu "$cpu" ./speak
    done
    refused qemu-x86_64 -cpu Nehalem "$python" -m omniggml devices
    refused qemu-x86_64 -cpu Nehalem ./speak "$voice" x.wav
}

try_aarch64() {
    local tag root=$work/aarch64/root zig
    tag=$(basename "$wheel" | grep -o 'cp3[0-9]*' | head -1)
    tag=3.${tag#cp3}
    "$here/scripts/aarch64_python.sh" "$root" "$tag"
    # shellcheck disable=SC2046
    "$work/try/venv/bin/pip" install --quiet --disable-pip-version-check --target site --only-binary=:all: --python-version "$tag" \
        --platform manylinux2014_aarch64 $(printf -- '--platform manylinux_2_%s_aarch64 ' {17..28}) --platform any "$wheel"
    voice=$out/site/omniggml/voice/voice-speech.gguf
    zig=$("$work/venv/bin/python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')
    "$zig" cc -target aarch64-linux-gnu.2.28 -std=c99 "$here/examples/embed-c/speak.c" -Isite/omniggml/include \
        -Lsite/omniggml/lib -Wl,-rpath,"$out/site/omniggml/lib" -lomniggml -o speak
    for cpu in cortex-a76 cortex-a53; do
        speaks "$cpu" qemu-aarch64 -E PYTHONPATH="$out/site" -L "$root" -cpu "$cpu" "$root/usr/bin/python$tag"
        speaks_from_c "$cpu" qemu-aarch64 -L "$root" -cpu "$cpu" ./speak
    done
}

"try_$arch"
