#!/usr/bin/env bash
# Times a whole run beside DuckDB, Polars and chDB, on three lakes of 833,334 rows a day:
#   needle  120 days; 2 % of the rows carry a restricted scope
#   rare    120 days; 0.001 %
#   flood    60 days; 60 %
# The configuration maps the columns that the peers' question reads, and no others.
# Prints seconds, CPU seconds and peak memory of each, and the ratios; the totals must be equal.
#
# And, by rows.py, runs after the first (again-needle, again-flood), lakes of other shapes (files, wide, list)
# and a needle lake of many links to each file (linked).
#
#   benches/side-by-side.sh PROGRAM [LAKE…]
#
# AFTERSCOPE_BENCH names the folder with the lake generator (gen.py), the peers (peers.py) and the
# timer (compare.py). AFTERSCOPE_BENCH_LAKES is where lakes are kept between calls,
# AFTERSCOPE_BENCH_DAYS makes smaller or larger ones, AFTERSCOPE_BENCH_RUNS is the number of rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
shift
harness=${AFTERSCOPE_BENCH:?name the folder with gen.py, peers.py and compare.py}
lakes=${AFTERSCOPE_BENCH_LAKES:-${CARGO_TARGET_DIR:-target}/bench-lakes}
runs=${AFTERSCOPE_BENCH_RUNS:-3}
venv="$lakes/venv"

mkdir -p "$lakes"
if [ ! -e "$venv/ready" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check duckdb polars chdb pyarrow numpy pytz
  touch "$venv/ready"
fi

declare -A share=([needle]=0.02 [rare]=0.00001 [flood]=0.6)
declare -A days=([needle]=120 [rare]=120 [flood]=60)
for lake in "${@:-needle rare flood}"; do
  for name in $lake; do
    if [ -z "${share[$name]:-}" ]; then
      "$venv/bin/python" benches/rows.py "$program" "$lakes" "$name"
      continue
    fi
    n=${AFTERSCOPE_BENCH_DAYS:-${days[$name]}}
    folder="$lakes/$name-$n"
    if [ ! -e "$folder/apps.csv" ]; then
      "$venv/bin/python" "$harness/gen.py" "$folder" --days "$n" --rows-per-day 833334 \
        --deprecated-share "${share[$name]}"
    fi
    cp benches/afterscope.toml "$folder/"
    printf '\n%s, %s days\n' "$name" "$n"
    "$venv/bin/python" "$harness/compare.py" "$folder" --runs "$runs" \
      --prepare "rm -rf '$folder/out'" \
      --ours "'$program' run --config '$folder/afterscope.toml' --as-of 2019-11-06T00:00:00Z"
  done
done
