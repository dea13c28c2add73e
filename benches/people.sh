#!/usr/bin/env bash
# Times a run with 200 million memberships and 50 million residences on a lake of 20 million rows: without
# them, the first time with them (they are sorted), and the second (they are read).
# Prints wall and CPU seconds and peak memory of each.
#
#   benches/people.sh PROGRAM [LAKE]
#
# AFTERSCOPE_BENCH and AFTERSCOPE_BENCH_LAKES are those of side-by-side.sh, which makes the lake.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
lakes=${AFTERSCOPE_BENCH_LAKES:-${CARGO_TARGET_DIR:-target}/bench-lakes}
lake="$lakes/${2:-needle-24}"
if [ ! -e "$lake/apps.csv" ]; then
  AFTERSCOPE_BENCH_DAYS=24 AFTERSCOPE_BENCH_RUNS=1 benches/side-by-side.sh "$program" needle
fi
if [ ! -e "$lake/residency" ]; then
  "$lakes/venv/bin/python" benches/people.py "$lake"
fi
sed 's#^\[registry\]#[registry]\nmemberships = "memberships/"\nresidency = "residency/"#' \
  benches/afterscope.toml > "$lake/people.toml"
run() {
  "$lakes/venv/bin/python" - "$1" "$program" run -q --config "$lake/$2" --memory-limit 1GB \
    --as-of 2019-11-06T00:00:00Z --output "$lake/people-out/$1" --state "$lake/people-out/state-$3" <<'PY'
import os, subprocess, sys, time
name, *command = sys.argv[1:]
start = time.time()
child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
_, status, use = os.wait4(child.pid, 0)
if status:
    sys.exit(f"failed ({status}): {command}")
print(f"{name:8}  wall {time.time() - start:7.2f} s  cpu {use.ru_utime + use.ru_stime:7.2f} s  "
      f"peak {use.ru_maxrss / 1024:5.0f} MB")
PY
}
rm -rf "$lake/people-out"
mkdir -p "$lake/people-out"
run without afterscope.toml a
run first people.toml b
run second people.toml b
