#!/usr/bin/env bash
# Every function of omniggml.h under the address and undefined-behaviour sanitizers, leaks among them.
#
#   scripts/sanitize_c.sh [PYTHON]     a Python with omniggml, which makes the files to be loaded
#
# Needs GCC or Clang on Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3}
dir=$PWD/build/sanitize-c
cmake -S . -B "$dir" -DOMNIGGML_PYTHON=OFF -DOMNIGGML_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo
cmake --build "$dir" --target omniggml --parallel "$(nproc)"

"$python" - "$dir/files" <<'END'
import sys
from pathlib import Path

from omniggml import convert
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

root = Path(sys.argv[1])
if not (root / "tiny-speech.gguf").exists():
    convert(write_random_checkpoint("tiny", root / "checkpoint"), root, type="f32", name="tiny")
(root / "damaged.gguf").write_bytes((root / "tiny-speech.gguf").read_bytes()[:100_000])
END

"${CC:-cc}" -std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Icsrc/capi tests/c/every_function.c \
    -L"$dir" -Wl,-rpath,"$dir" -lomniggml -o "$dir/every_function"
mkdir -p "$dir/out"
ASAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1 \
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions="$PWD/scripts/sanitize-suppressions.txt" \
    "$dir/every_function" "$dir/files/tiny-speech.gguf" "$dir/files/tiny-thinker.gguf" "$dir/files/damaged.gguf" \
    "Good morning, what's new? 3 cats." "$dir/out"
