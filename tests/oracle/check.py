#!/usr/bin/env python3
"""Compares the program with its second definition, queries/oracle/, on random lakes.

    check.py --program target/release/afterscope --lakes 200
    check.py --program target/release/afterscope --seed-only 17 --keep /tmp/lake
    check.py --program target/release/afterscope --config FILE --as-of TIME
    check.py --config FILE --as-of TIME --write-expected DIR

Every table must agree in every row, column, type and in its order. The last line on stdout is
`N passed, M failed`; the exit code is 1 if any failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
import traceback
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Callable, Iterator

import expected
from contract import tables
from lakes.lake import Lake
from oracle import Oracle
from program import Report, Run, check

Work = Callable[[int], tuple[int, list[str]]]

# One connection per worker process: to open one takes longer than a lake.
_oracle: Oracle | None = None


def oracle() -> Oracle:
    global _oracle
    if _oracle is None:
        _oracle = Oracle(tables())
    return _oracle


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, help="the afterscope to test")
    parser.add_argument("--lakes", type=int, default=200, help="how many lakes")
    parser.add_argument("--first", type=int, default=0, help="number of the first lake")
    parser.add_argument("--seed-only", type=int, metavar="K", help="lake K alone")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the lakes there")
    parser.add_argument("--jobs", type=int, default=2, help="lakes at a time")
    parser.add_argument("--without", default="", metavar="FEATURE,…",
                        help="draw lakes without these features: the names that lakes/*.py "
                        "gives to `has`, or asks for in `without`")
    parser.add_argument("--config", type=Path, help="compare on this configuration instead")
    parser.add_argument("--as-of", metavar="TIME", help="with --config: end of the report")
    parser.add_argument("--write-expected", type=Path, metavar="DIR",
                        help="with --config: write the oracle's tables as CSV files, and no more")
    args = parser.parse_args()
    if args.program is None and args.write_expected is None:
        parser.error("--program is missing")
    if (args.config is None) != (args.as_of is None):
        parser.error("--config and --as-of go together")
    return args


def main() -> int:
    args = arguments()
    if args.write_expected is not None:
        expected.write(args.write_expected, oracle().answer(args.config, args.as_of).tables)
        return 0
    # A worker runs elsewhere than it was called.
    program = args.program.resolve()
    if args.config is not None:
        failed = report_one(args, program)
        print(f"{1 - failed} passed, {failed} failed")
        return failed
    without = frozenset(f for f in args.without.split(",") if f)
    if args.seed_only is not None:
        numbers = [args.seed_only]
    else:
        numbers = list(range(args.first, args.first + args.lakes))
    started = time.monotonic()
    work = partial(one_lake, program=program, keep=args.keep, without=without)
    failed = 0
    kinds: Counter[str] = Counter()
    for number, lines in results(work, numbers, args.jobs):
        if not lines:
            continue
        failed += 1
        kinds[lines[0].split(":")[0]] += 1
        again = f"{sys.argv[0]} --program {args.program} --seed-only {number} --keep DIR"
        print(f"lake {number} differs", *lines, sep="\n  ")
        print(f"  again: {again}{f' --without {args.without}' if without else ''}\n", flush=True)
    taken = time.monotonic() - started
    for kind, count in kinds.most_common():
        print(f"{count} first differ in {kind}")
    print(f"{len(numbers)} lakes in {taken:.1f} s")
    print(f"{len(numbers) - failed} passed, {failed} failed")
    return 1 if failed else 0


def results(work: Work, numbers: list[int], jobs: int) -> Iterator[tuple[int, list[str]]]:
    if jobs == 1 or len(numbers) == 1:
        yield from map(work, numbers)
        return
    # DuckDB's and Arrow's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, numbers, chunksize=4)


def one_lake(number: int, program: Path, keep: Path | None, without: frozenset[str]
             ) -> tuple[int, list[str]]:
    """Makes a lake, runs the program on it as often as its story says, and compares."""
    try:
        if keep is not None:
            folder = keep / f"lake-{number}"
            folder.mkdir(parents=True, exist_ok=False)
            return number, lake_differences(Lake(number, folder, without), program)
        with tempfile.TemporaryDirectory(prefix=f"oracle-lake-{number}-") as temporary:
            return number, lake_differences(Lake(number, Path(temporary), without), program)
    except Exception as e:  # A broken lake must not hide the others.
        return number, [f"the tester failed: {e!r}", *traceback.format_exc().splitlines()[-12:]]


def lake_differences(lake: Lake, program: Path) -> list[str]:
    before: Report | None = None
    for step, run in enumerate(lake.runs()):
        lines, before = check(run, program, oracle(), oracle().contracts, before)
        if lines:
            return [*lines, f"in run {step + 1}: {' '.join(run.command(program))}"]
    return []


def report_one(args: argparse.Namespace, program: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        output = args.keep if args.keep is not None else Path(temporary)
        run = Run(args.config.resolve(), args.as_of, output / "out")
        lines, _ = check(run, program, oracle(), oracle().contracts)
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
