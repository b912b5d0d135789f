#!/usr/bin/env bash
# Runs the tests with ggml and our own code under the address and undefined-behaviour sanitizers, in a virtual environment
# and a build directory of its own (build/sanitize). Arguments go to pytest. Needs GCC or Clang on Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizers=${SANITIZE:-address,undefined}
dir=$PWD/build/sanitize
[ -x "$dir/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$dir/venv"

# RelWithDebInfo, for line numbers in the reports.
"$dir/venv/bin/pip" install --quiet '.[test]' \
    -Cbuild-dir="$dir/cmake" \
    -Ccmake.build-type=RelWithDebInfo \
    -Ccmake.define.OMNIGGML_SANITIZE="$sanitizers"

# Python itself is not instrumented, so the runtimes have to be there before it loads a module that is.
preload=
for sanitizer in ${sanitizers//,/ }; do
    case $sanitizer in
        address) library=libasan.so ;;
        undefined) library=libubsan.so ;;
        thread) library=libtsan.so ;;
        *) continue ;;
    esac
    # libstdc++ along with it: the runtime looks for __cxa_throw when it starts, before Python has loaded any C++.
    preload="$preload $("${CXX:-g++}" -print-file-name="$library")"
done
preload="$preload $("${CXX:-g++}" -print-file-name=libstdc++.so.6)"

# Python itself never frees everything, so leaks are not looked for. --capture=sys: a report goes to file descriptor 2 just
# before the process dies, and pytest's usual capture would take it along.
ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1:allocator_may_return_null=1 \
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions="$PWD/scripts/sanitize-suppressions.txt" \
TSAN_OPTIONS=halt_on_error=1:die_after_fork=0 \
OMNIGGML_TEST_BUILD_DIR="$dir/cmake" \
LD_PRELOAD=${preload# } \
    exec "$dir/venv/bin/python" -m pytest -n 0 --capture=sys -m 'not slow' "$@"
