#!/usr/bin/env bash
# Times a run over the same lake on disk and in stores: near, and where each request takes 20 ms more. There are two:
# the lake's files sent by the kernel (objects.py), which takes next to no processor time, as a store on another
# machine takes none of ours; and SeaweedFS behind a wire of that length (relay.py), which takes as much as the program.
# Prints wall and CPU seconds of the program, requests and bytes of each run, and the ratio of the walls (medians of
# three rounds). Half of the cores are the program's, half the servers'.
#
#   benches/latency.sh PROGRAM [LAKE]
#
# LAKE is one of the lakes of side-by-side.sh, by default needle-120, made where it is missing. AFTERSCOPE_PYTHON is an
# interpreter that has boto3, with `weed` beside it. AFTERSCOPE_LATENCY is the delay in seconds, AFTERSCOPE_BENCH_RUNS
# the number of rounds; AFTERSCOPE_BENCH and AFTERSCOPE_BENCH_LAKES are those of side-by-side.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
lakes=${AFTERSCOPE_BENCH_LAKES:-${CARGO_TARGET_DIR:-target}/bench-lakes}
name=${2:-needle-120}
lake="$lakes/$name"
if [ ! -e "$lake/apps.csv" ]; then
  AFTERSCOPE_BENCH_DAYS=${name##*-} AFTERSCOPE_BENCH_RUNS=1 benches/side-by-side.sh "$program" "${name%-*}"
fi
exec "${AFTERSCOPE_PYTHON:-.venv/bin/python}" benches/latency.py "$program" "$lake"
