#!/usr/bin/env bash
# Times a run over the same lake on disk and in S3 where each request takes 20 ms more: SeaweedFS, and the fault
# proxy before it. Prints wall and CPU seconds of the program, requests and bytes of each run, and the ratio of the
# walls (the median of three rounds). Server and proxy run on the same machine and take their share of it, so that
# the same way without the delay is timed, too.
#
#   benches/latency.sh PROGRAM [LAKE]
#
# AFTERSCOPE_TOOLS names the folder of faultproxy.py, AFTERSCOPE_PYTHON an interpreter that has boto3, with `weed`
# beside it. AFTERSCOPE_LATENCY is the delay in seconds, AFTERSCOPE_BENCH_RUNS the number of rounds; AFTERSCOPE_BENCH
# and AFTERSCOPE_BENCH_LAKES are those of side-by-side.sh, which makes the lake.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
lakes=${AFTERSCOPE_BENCH_LAKES:-${CARGO_TARGET_DIR:-target}/bench-lakes}
lake="$lakes/${2:-needle-24}"
: "${AFTERSCOPE_TOOLS:?name the folder of faultproxy.py}"
if [ ! -e "$lake/apps.csv" ]; then
  AFTERSCOPE_BENCH_DAYS=24 AFTERSCOPE_BENCH_RUNS=1 benches/side-by-side.sh "$program" needle
fi
exec "${AFTERSCOPE_PYTHON:-.venv/bin/python}" benches/latency.py "$program" "$lake"
