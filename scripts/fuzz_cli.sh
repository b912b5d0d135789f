#!/bin/sh
# The whole command line under mutated files and hostile arguments, and chat templates that attack.
# Usage: scripts/fuzz_cli.sh [RUNS] [TEMPLATES]; logs go to build/fuzz/cli.jsonl and build/fuzz/templates.jsonl.
# Ends with 1 where anything but an exit with one sentence was found.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/fuzz
rm -f build/fuzz/cli.jsonl build/fuzz/templates.jsonl
python=${PYTHON:-python3}
status=0
"$python" tests/fuzz_cli.py --runs "${1:-50000}" --workers "$(nproc)" --log build/fuzz/cli.jsonl || status=1
"$python" tests/template_torture.py --templates "${2:-2000}" --log build/fuzz/templates.jsonl || status=1
exit $status
