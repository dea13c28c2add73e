#!/usr/bin/env bash
# Times a run with 200 million memberships and 50 million residences on a lake of 20 million rows: without
# them, the first time with them (they are sorted), and the second (they are read).
# Prints wall and CPU seconds and peak memory of each; of the first and the last three rounds, and what
# reading the packs once costs: every column of every row group, by the Parquet library of Arrow for
# Python on one thread.
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
print(f"{name:9}  wall {time.time() - start:7.2f} s  cpu {use.ru_utime + use.ru_stime:7.2f} s  "
      f"peak {use.ru_maxrss / 1024:5.0f} MB")
PY
}
rm -rf "$lake/people-out"
mkdir -p "$lake/people-out"
run first people.toml b
for round in 1 2 3; do
  rm -rf "$lake/people-out/state-a"
  run "without-$round" afterscope.toml a
  run "second-$round" people.toml b
  "$lakes/venv/bin/python" - "$lake/people-out/state-b/people" <<'PY'
import sys, time
from pathlib import Path
import pyarrow.parquet as pq
start, began = time.time(), time.process_time()
for path in sorted(Path(sys.argv[1]).glob("*.parquet")):
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        file.read_row_group(group, use_threads=False)
print(f"{'reading':9}  wall {time.time() - start:7.2f} s  cpu {time.process_time() - began:7.2f} s")
PY
done
