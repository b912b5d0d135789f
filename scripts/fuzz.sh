#!/usr/bin/env bash
# Feeds mutated GGUF files to the reader, the geometry check, loading, graph building and a little speech, under libFuzzer
# and the address, leak and undefined-behaviour sanitizers: scripts/fuzz.sh [FILES], 200000 where nothing is said.
#
# The seeds are fixed, and so are the mutants. The work is done in slices of 10,000 files, noted in build/fuzz/done; an
# interrupted run goes on with the first slice that isn't. A file that crashes, hangs, leaks or makes the reader allocate
# too much is kept in build/fuzz/found, and the exit code is not 0. Needs Clang, Linux, and omniggml installed for Python,
# which writes the seeds.
set -euo pipefail
cd "$(dirname "$0")/.."

files=${1:-200000}
slice=$((files < 10000 ? files : 10000))
dir=${FUZZ_DIR:-$PWD/build/fuzz}
clang=$(command -v clang++ || compgen -c clang++- | sort -V | tail -n 1)
mkdir -p "$dir/corpus" "$dir/found" "$dir/done"

read -ra extra <<<"${CMAKE_ARGS:-}"
cmake -S . -B "$dir/cmake" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DOMNIGGML_FUZZ=ON -DOMNIGGML_SANITIZE=address,undefined \
    -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_C_COMPILER="${clang/clang++/clang}" -DGGML_OPENMP=OFF "${extra[@]}" >/dev/null
cmake --build "$dir/cmake" --target omniggml-fuzz --parallel "${JOBS:-2}"
"${PYTHON:-python3}" tests/fuzz_seeds.py "$dir/seeds"

# A file of at most 1 MB may make no allocation beyond 64 MiB.
limits=(-max_len=1000000 -timeout=120 -malloc_limit_mb=64 -rss_limit_mb=1500)
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=64
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=$PWD/scripts/sanitize-suppressions.txt

for ((number = 1; number * slice <= files; ++number)); do
    [ ! -e "$dir/done/$number" ] || continue
    # What is there already is run first, and counts.
    known=$(find "$dir/corpus" "$dir/seeds" -type f | wc -l)
    start=$(date +%s)
    "$dir/cmake/omniggml-fuzz" -seed="$number" -runs=$((slice + known)) "${limits[@]}" -artifact_prefix="$dir/found/" \
        "$dir/corpus" "$dir/seeds" >"$dir/log" 2>&1 || {
        tail -n 60 "$dir/log" >&2
        exit 1
    }
    echo "$slice files in $(($(date +%s) - start)) s, $(grep -o 'cov: [0-9]*' "$dir/log" | tail -n 1)" | tee "$dir/done/$number"
done
echo "$((slice * (number - 1))) files: no crash, no hang, no leak, no allocation beyond the bound"
