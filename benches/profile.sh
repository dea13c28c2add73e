#!/usr/bin/env bash
# A flame graph of one run, its ledger written anew: where the time of all threads goes, by function.
#
#   benches/profile.sh PROGRAM CONFIG AS_OF FLAMES.svg
#
# Wants `perf` and rights to use it. inferno, which draws, is installed beside the build where it is missing.
set -euo pipefail
program=$(realpath "$1") config=$(realpath "$2") as_of=$3 flames=$4
command -v perf > /dev/null || { echo "perf is not installed: on Debian, apt-get install linux-perf" >&2; exit 1; }
tools=${CARGO_TARGET_DIR:-target}/tools
if [ ! -x "$tools/bin/inferno-flamegraph" ]; then
  cargo install inferno --version 0.12.8 --locked --quiet --root "$tools"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
perf record --quiet -F 499 --call-graph dwarf,16384 -o "$work/perf.data" \
  "$program" run --quiet --config "$config" --as-of "$as_of" --output "$work/out" --state "$work/state" > /dev/null
# Inlined calls would take minutes to name and are few: functions that matter are not inlined.
perf script --no-inline -i "$work/perf.data" 2> /dev/null > "$work/stacks"
"$tools/bin/inferno-collapse-perf" "$work/stacks" > "$work/folded"
"$tools/bin/inferno-flamegraph" --title "afterscope run" "$work/folded" > "$flames"
echo "$flames: $(wc -l < "$work/folded") stacks"
