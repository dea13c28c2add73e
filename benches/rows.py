#!/usr/bin/env python3
"""Times whole runs beside DuckDB, Polars and chDB where side-by-side.sh's lakes and first runs end:

    rows.py PROGRAM LAKES ROW…

again-needle, again-flood   runs after the first, on the lakes of side-by-side.sh: one new day after the others;
                            nothing new; every restriction a day later; a grace; another as_of
files, wide, list           first runs on the lakes of shapes.py
linked                      a first run on ten sources of one namespace, each a folder of links to the files of the
                            needle lake, so ten times its rows (event ids are not mapped: every row counts),
                            beside one such source. (Two links to a file within a source are refused.)

LAKES is the folder where lakes are kept. AFTERSCOPE_BENCH names the folder with gen.py, peers.py and
compare.py. AFTERSCOPE_BENCH_RUNS is the number of rounds (3), AFTERSCOPE_BENCH_PEERS the peers
(duckdb,polars,chdb), AFTERSCOPE_BENCH_DAYS the days of 833,334 rows of needle and flood (120, 60),
AFTERSCOPE_BENCH_ROWS the rows of a shape (files: 100 M; wide and list: 20 M), AFTERSCOPE_BENCH_SETS the sets of
scopes that an app of the list lake has (any), AFTERSCOPE_BENCH_LINKS the links to a file (10).

In each round all programs run in turn. Printed are medians of CPU and wall seconds and of peak memory, the
ratios of the best peer's CPU and the best peer's wall to ours, and what is asked: floor and target of the CPU
ratio, and our peak. Totals must be equal; a peer reads the whole lake for every row.
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HARNESS = Path(os.environ["AFTERSCOPE_BENCH"])
sys.path.insert(0, str(HARNESS))
from compare import timed, total  # noqa: E402

BENCHES = Path(__file__).resolve().parent
AS_OF = "2019-11-06T00:00:00Z"
PEERS = os.environ.get("AFTERSCOPE_BENCH_PEERS", "duckdb,polars,chdb").split(",")
SHARES = {"needle": 0.02, "flood": 0.6}
DAYS = {"needle": 120, "flood": 60}
ROWS = {"files": 100_000_000, "wide": 20_000_000, "list": 20_000_000}
# What is asked: floor and target of the best peer's CPU / ours, and our peak in MB.
ASKED = {
    "needle: one new day": (15, 40, 150), "needle: later, grace, as_of": (10, 25, 150),
    "flood: one new day": (None, None, None), "flood: later, grace, as_of": (3, 6, 800),
    "needle: nothing new": (40, 100, 100), "flood: nothing new": (40, 100, 100),
    "files": (1.5, 3, 300), "wide": (1.5, 3, 300), "list": (1.5, 3, 800),
}
# A shape's own names of columns, in place of those of afterscope.toml.
COLUMNS = {
    "wide": {"app": "client.app_id", "subject": "actor.user_id", "group": "target.group_id",
             "scopes": "auth.scope", "status": "request.status", "bytes": "request.bytes"},
    "list": {"scopes": "scopes"},
}


class Row:
    """Figures and answers of one row of the table, by program."""

    def __init__(self, name: str, asked: str | None = None) -> None:
        self.name, self.asked = name, ASKED.get(asked or name)
        self.figures: dict[str, list] = {}
        self.answers: dict[str, list] = {}

    def add(self, program: str, figure, answer) -> None:
        wall, cpu, peak = figure
        print(f"  {self.name}: {program} cpu {cpu:.2f} s, wall {wall:.2f} s, {peak:.0f} MB", file=sys.stderr)
        self.figures.setdefault(program, []).append(figure)
        if self.answers.setdefault(program, answer) != answer:
            sys.exit(f"{self.name}: {program} gave {answer} after {self.answers[program]}")

    def median(self, program: str):
        return [statistics.median(f[i] for f in self.figures[program]) for i in range(3)]

    def print(self) -> None:
        if any(answer != self.answers["ours"] for answer in self.answers.values()):
            sys.exit(f"{self.name}: answers differ: {self.answers}")
        print(f"\n{self.name}: {', '.join(map(str, self.answers['ours']))}")
        medians = {program: self.median(program) for program in self.figures}
        for program, (wall, cpu, peak) in medians.items():
            rounds = " ".join(f"{f[1]:.2f}" for f in self.figures[program])
            print(f"  {program:12} cpu {cpu:8.2f} s   wall {wall:8.2f} s   peak {peak:6.0f} MB   (cpu: {rounds})")
        peers = [p for p in medians if p != "ours"]
        if not peers:
            return
        wall, cpu = (min(medians[p][i] for p in peers) / medians["ours"][i] for i in (0, 1))
        best = min(peers, key=lambda p: medians[p][1])
        print(f"  best peer / ours: cpu {cpu:.2f} ({best}), wall {wall:.2f}{self.verdict(cpu, wall)}")

    def verdict(self, cpu: float, wall: float) -> str:
        if not self.asked or self.asked[0] is None:
            return ""
        floor, target, limit = self.asked
        peak = self.median("ours")[2]
        return (f"; asked: cpu {floor} ({level(cpu, floor, target)}), target {target}, wall {0.85 * floor:.2f} "
                f"({level(wall, 0.85 * floor, 0.85 * target)}), peak {limit} MB ({'met' if peak <= limit else 'MISSED'})")


def level(figure: float, floor: float, target: float) -> str:
    return "target met" if figure >= target else "floor met" if figure >= floor else "MISSED"


class Bench:
    def __init__(self, program: str, lakes: Path) -> None:
        self.program, self.lakes = program, lakes
        self.runs, self.old = int(os.environ.get("AFTERSCOPE_BENCH_RUNS", 3)), 0

    def rounds(self):
        for i in range(self.runs):
            print(f"round {i + 1}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            yield i

    def ours(self, lake: Path, row: Row | None, as_of: str = AS_OF, config: str = "afterscope.toml",
             keep: bool = False, name: str = "ours", bytes_too: bool = False) -> None:
        """A run with the lake's ledger; it publishes to a folder of its own, unless the last one is to be kept."""
        if not keep:
            self.put_away(lake, "out")
        figure, answer = timed([self.program, "run", "-q", "--config", lake / config, "--as-of", as_of,
                                "--output", lake / "out", "--state", lake / "state"])
        if keep and not answer["reused"]:
            sys.exit(f"{lake}: the run that stands was not used again")
        if row:
            row.add(name, figure, total(answer) + ([summed_bytes(answer)] if bytes_too else []))

    def put_away(self, lake: Path, name: str) -> None:
        """Makes room for a new folder. Nothing is deleted between the runs of a lake: for minutes ext4 looks past
        every file that was deleted lately when it makes one, which the next run would pay for."""
        if (lake / name).exists():
            self.old += 1
            (lake / "old").mkdir(exist_ok=True)
            (lake / name).rename(lake / "old" / f"{os.getpid()}-{self.old}")

    def peers(self, lake: Path, *rows: Row, shape: str | None = None, engines=None) -> None:
        script = [BENCHES / "shapes.py", "ask"] if shape else [HARNESS / "peers.py"]
        for engine in engines or PEERS:
            figure, answer = timed([sys.executable, *script, engine, *([shape] if shape else []), lake])
            for row in rows:
                row.add(engine, figure, total(answer))

    def generated(self, name: str) -> Path:
        """The lake of side-by-side.sh, made if it is not there."""
        days = int(os.environ.get("AFTERSCOPE_BENCH_DAYS", DAYS[name]))
        lake = self.lakes / f"{name}-{days}"
        if not (lake / "apps.csv").exists():
            subprocess.run([sys.executable, HARNESS / "gen.py", lake, "--days", str(days), "--rows-per-day", "833334",
                            "--deprecated-share", str(SHARES[name])], check=True)
        return lake

    def again(self, name: str) -> None:
        whole = self.generated(name)
        lake, later = self.lakes / f"again-{name}", self.lakes / f"again-{name}-later"
        first, day, nothing = (Row(f"{name}: {x}") for x in ("first run, a day less", "one new day", "nothing new"))
        policy = [Row(f"{name}: {x}", f"{name}: later, grace, as_of")
                  for x in ("restrictions a day later", "a grace", "another as_of")]
        link(whole, lake)
        link(whole, later)
        (later / "scopes.csv").write_text((whole / "scopes.csv").read_text().replace("-07-01T", "-07-02T"))
        shutil.copy(later / "scopes.csv", lake / "later.csv")
        (lake / "extensions.csv").write_text(extensions(lake))
        configure(lake)
        configure(lake, "later.toml", scopes="later.csv")
        configure(lake, "grace.toml", extensions="extensions.csv")
        last = sorted((lake / "logs").iterdir())[-1]
        for _ in self.rounds():
            self.put_away(lake, "state")
            last.rename(lake / "hidden")
            self.ours(lake, first)
            (lake / "hidden").rename(last)
            self.ours(lake, day)
            self.ours(lake, nothing, keep=True)
            self.ours(lake, policy[0], config="later.toml")
            self.ours(lake, policy[1], config="grace.toml")
            self.ours(lake, policy[2], as_of="2019-11-07T00:00:00Z")
            self.peers(whole, day, nothing, *policy[1:])
            self.peers(later, policy[0])
        for row in (first, day, nothing, *policy):
            row.print()
        shutil.rmtree(lake)
        shutil.rmtree(later)

    def shape(self, shape: str) -> None:
        rows = int(os.environ.get("AFTERSCOPE_BENCH_ROWS", ROWS[shape]))
        sets = os.environ.get("AFTERSCOPE_BENCH_SETS") if shape == "list" else None
        lake = self.lakes / f"{shape}-{rows // 1_000_000}{f'-{sets}' if sets else ''}"
        if not (lake / "apps.csv").exists():
            subprocess.run([sys.executable, BENCHES / "shapes.py", "make", shape, lake, "--rows", str(rows)], check=True)
        configure(lake, means="exercised" if shape == "list" else None, **COLUMNS.get(shape, {}))
        row = Row(shape)
        for _ in self.rounds():
            self.put_away(lake, "state")
            self.ours(lake, row, bytes_too=shape == "wide")
            self.peers(lake, row, shape=shape if shape != "files" else None)
        row.print()
        shutil.rmtree(lake / "old", ignore_errors=True)

    def linked(self) -> None:
        links = int(os.environ.get("AFTERSCOPE_BENCH_LINKS", 10))
        whole, lake = self.generated("needle"), self.lakes / "linked"
        counts, rows = (1, links), (Row("needle, once"), Row(f"needle, {links} links to every file"))
        for i in range(links):
            link(whole, lake / f"copy-{i}")
        for name in ("scopes.csv", "apps.csv"):
            shutil.copy(whole / name, lake)
        for count in counts:
            (lake / f"linked-{count}.toml").write_text(sources(count))
        for _ in self.rounds():
            for count, row in zip(counts, rows):
                self.put_away(lake, "state")
                self.ours(lake, row, config=f"linked-{count}.toml")
        for row in rows:
            row.print()
        one, all_ = (row.median("ours") for row in rows)
        print(f"  cpu {all_[1] / one[1]:.2f} times, wall {all_[0] / one[0]:.2f} times that of one link; asked: cpu at "
              f"most {1.05 * links:.2f} ({'met' if all_[1] <= 1.05 * links * one[1] else 'MISSED'}), peak 512 MB "
              f"({'met' if all_[2] <= 512 else 'MISSED'})")
        shutil.rmtree(lake)


def link(whole: Path, lake: Path) -> None:
    """A lake of links to the files of another."""
    shutil.rmtree(lake, ignore_errors=True)
    for file in whole.glob("logs/*/*.parquet"):
        folder = lake / "logs" / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        os.link(file, folder / file.name)
    for name in ("scopes.csv", "apps.csv"):
        shutil.copy(whole / name, lake)


def sources(count: int) -> str:
    """The configuration of side-by-side.sh with its source `count` times, in folders of their own."""
    head, rest = (BENCHES / "afterscope.toml").read_text().split("[registry]")
    again = [head.replace('name = "access"', f'name = "access-{i}"').replace('"logs/"', f'"copy-{i}/logs/"')
             + '[source.namespaces]\nperson = "people"\ngroup = "groups"\n\n' for i in range(count)]
    return "".join(again) + "[registry]" + rest


def extensions(lake: Path) -> str:
    """One app in eight has sixty days more, for every scope."""
    with open(lake / "scopes.csv") as file:
        scopes = [row["scope"] for row in csv.DictReader(file)]
    lines = [f"app-{i:05d},{scope},2019-08-30T00:00:00Z" for i in range(0, 240, 8) for scope in scopes]
    return "\n".join(["app_id,scope,grace_until", *lines, ""])


def configure(lake: Path, name: str = "afterscope.toml", means: str | None = None, **keys: str) -> None:
    """The configuration of side-by-side.sh with other columns, or other files in [registry]."""
    tables = {"source.columns": {}, "registry": {}}
    for key, value in keys.items():
        table = "registry" if value.endswith(".csv") else "source.columns"
        tables[table][key] = value
    lines = (BENCHES / "afterscope.toml").read_text().splitlines()
    out, table = [], ""
    for line in lines:
        if line.startswith("["):
            table = line.strip("[]")
        if line.split(" = ")[0] in tables.get(table, {}):
            continue
        out.append(line)
        if line.startswith("["):
            out += [f'{key} = "{value}"' for key, value in tables.get(table, {}).items()]
        if means and line == "[[source]]":
            out.append(f'scopes_mean = "{means}"')
    (lake / name).write_text("\n".join([*out, ""]))


def summed_bytes(answer) -> int:
    with open(Path(answer["tables"]) / "scope_summary.csv") as file:
        return next(int(row["bytes"]) for row in csv.DictReader(file) if row["grain"] == "all")


def main() -> None:
    bench = Bench(sys.argv[1], Path(sys.argv[2]))
    for row in sys.argv[3:]:
        kind, _, lake = row.partition("-")
        if kind == "again" and lake in SHARES:
            bench.again(lake)
        elif row in ROWS:
            bench.shape(row)
        elif row == "linked":
            bench.linked()
        else:
            sys.exit(f"no such row: {row}; there are again-needle, again-flood, files, wide, list, linked")


if __name__ == "__main__":
    main()
