"""Imports the dashboard into a real Superset and holds what its charts show against the tables.

    check_superset.py --program target/release/afterscope [--keep FOLDER]

The charts are asked by the API, as they were saved, and by the dashboard in a browser where there is one. Their
rows are held against the tables as DuckDB reads them, against those that the oracle expects of the sample, and
against figures that stand here. Exit code 1 and what differs, or 0. --keep keeps the picture and the logs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import yaml

from server import Failed, Superset, browse, only_result, superset

ROOT = Path(__file__).resolve().parents[2]
INTEGRATION = ROOT / "integrations" / "superset"
EXPECTED = ROOT / "data-samples" / "groups-2019" / "expected"
EARLIER, LATER = "2019-06-01T00:00:00Z", "2019-11-06T00:00:00Z"

#: What the sample of 20,000 rows tells, by hand: people observed, and with all members of the groups read.
PEOPLE_BY_HAND = {
    "(all) +": (405, 5784),
    "groups_access_member_info +": (212, 2961),
    "groups_feed_members +": (205, 2920),
    "publish_to_groups +": (221, 3188),
    "user_managed_groups +": (221, 3159),
}
#: No request of the sample used two scopes, so that here, and only here, they add up.
REQUESTS_BY_HAND = 2249
#: Used after the restriction: 38. Group Tool 40 never called, and promised all the same.
APPS_BY_HAND = 39
#: Requests after a promise, and the promises' verdicts.
PROMISES_BY_HAND = {
    "Group Tool 3": (9, "(all): violated"),
    "Group Tool 5": (18, "groups_feed_members: violated; publish_to_groups: violated"),
    "Group Tool 12": (12, "(all): violated"),
    "Group Tool 20": (0, "(all): clean"),
    "Group Tool 25": (0, "(all): inconclusive"),
    "Group Tool 30": (0, "(all): not_attested"),
    "Group Tool 40": (None, "(all): clean"),
}

Row = tuple[Any, ...]


def whole(value: Any) -> int | None:
    """A figure of a chart; Superset hands on whole numbers as 405.0."""
    if value is not None and value != int(value):
        raise Failed(f"a chart shows {value}, which is no whole number")
    return None if value is None else int(value)


class Tables:
    """The published tables of a folder, as DuckDB reads them without Superset: Parquet, or the oracle's CSV."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = duckdb.connect()

    def rows(self, table: str, columns: str, where: str = "true") -> list[Row]:
        parquet, csv = self.folder / f"{table}.parquet", self.folder / f"{table}.csv"
        source = f"read_parquet('{parquet}')" if parquet.exists() else f"read_csv('{csv}', all_varchar = true)"
        return self.connection.execute(f"SELECT {columns} FROM {source} WHERE {where}").fetchall()

    def people(self) -> list[Row]:
        figures = "subjects_observed::BIGINT, subjects_upper_bound::BIGINT, upper_bound_complete::BOOLEAN"
        shown = []
        for scope, observed, bound, complete, verdict in self.rows("scope_summary", f"scope, {figures}, verdict"):
            label = scope + (" +" if complete is False else "")
            label += "" if verdict == "complete" else f" ({verdict})"
            shown.append((label, observed, bound))
        return sorted(shown)

    def days(self) -> list[Row]:
        found = self.rows("daily_timeline", "day::DATE, scope, requests_allowed::BIGINT", "grain = 'scope'")
        return sorted((day.isoformat(), scope, requests) for day, scope, requests in found)

    def apps(self) -> list[Row]:
        names = "app_id, app_name, developer_name"
        figures = ("requests_allowed", "requests_after_grace", "requests_after_attestation", "subjects_observed")
        casts = ", ".join(f"{figure}::BIGINT" for figure in figures)
        used = self.rows("app_scope_exposure", f"{names}, {casts}, verdict", "grain = 'app'")
        named: dict[str, Row] = {}
        verdicts: dict[str, list[str]] = {}
        promises = self.rows("deletion_verification", f"{names}, scope, attested_at::VARCHAR, verdict")
        for *name, scope, _, verdict in sorted(promises, key=lambda row: (row[0], row[3], row[4] or "")):
            named[name[0]] = tuple(name)
            verdicts.setdefault(name[0], []).append(f"{scope}: {verdict}")
        told = {app: "; ".join(of) for app, of in verdicts.items()}
        shown = [(*row[:7], told.get(row[0]), row[7]) for row in used]
        only_promised = sorted(named.keys() - {row[0] for row in used})
        shown += [(*named[app], None, None, None, None, told[app], None) for app in only_promised]
        # What came after a promise first, then what came after the grace; nulls last, as DuckDB has them.
        return sorted(shown, key=lambda row: (row[5] is None, -(row[5] or 0), -(row[4] or 0), row[0]))


def people_shown(rows: list[dict[str, Any]]) -> list[Row]:
    return [(row["scope_shown"], whole(row["people_observed"]), whole(row["people_up_to"])) for row in rows]


def days_shown(rows: list[dict[str, Any]]) -> list[Row]:
    """One row for each point of the chart: Superset has the scopes beside each other."""
    points = []
    for row in rows:
        day = datetime.fromtimestamp(row["day"] / 1000, timezone.utc)
        if day.time() != datetime.min.time():
            raise Failed(f"a day of the timeline begins at {day}")
        points += [
            (day.date().isoformat(), scope, whole(requests))
            for scope, requests in row.items()
            if scope != "day" and requests is not None
        ]
    return sorted(points)


def apps_shown(rows: list[dict[str, Any]]) -> list[Row]:
    texts = ("app_id", "app_name", "developer_name")
    figures = ("requests_allowed", "requests_after_grace", "requests_after_attestation", "subjects_observed")
    return [
        (*(row[name] for name in texts), *(whole(row[name]) for name in figures), row["deletion"], row["verdict"])
        for row in rows
    ]


#: A chart's file, how its rows are read, and what they must be.
CHARTS: dict[str, tuple[Callable[[list[dict[str, Any]]], list[Row]], Callable[[Tables], list[Row]]]] = {
    "people_reached": (people_shown, Tables.people),
    "requests_a_day": (days_shown, Tables.days),
    "apps": (apps_shown, Tables.apps),
}


def uuid_of(kind: str, name: str) -> str:
    found: str = yaml.safe_load((INTEGRATION / "dashboard" / kind / f"{name}.yaml").read_text())["uuid"]
    return found


def same(what: str, shown: list[Row], expected: list[Row]) -> None:
    """That both have the same rows in the same order. Raises `Failed` with the first that differ."""
    for number, (one, other) in enumerate(zip_longest(shown, expected), 1):
        if one != other:
            counts = f"{len(shown)} rows are shown, {len(expected)} expected"
            raise Failed(f"{what}: row {number} differs; {counts}\n  shown:    {one}\n  expected: {other}")


def compare(server: Superset, folder: Path, with_what: str) -> dict[str, list[Row]]:
    """Every chart, asked by the API, against the tables of a folder."""
    charts, found = server.ids("chart"), {}
    for name, (read, expected) in CHARTS.items():
        found[name] = read(server.rows(charts[uuid_of("charts", name)]))
        same(f"{name} against {with_what}", found[name], expected(Tables(folder)))
        print(f"  {name}: {len(found[name])} rows, as in {with_what}")
    return found


def by_hand(found: dict[str, list[Row]]) -> None:
    same("people_reached by hand", found["people_reached"], [(k, *v) for k, v in sorted(PEOPLE_BY_HAND.items())])
    requests = sum(row[2] for row in found["requests_a_day"])
    promises = {row[1]: (row[5], row[7]) for row in found["apps"] if row[7] is not None}
    figures = [
        ("requests of all days", requests, REQUESTS_BY_HAND),
        ("apps", len(found["apps"]), APPS_BY_HAND),
        ("requests of all apps", sum(row[3] or 0 for row in found["apps"]), REQUESTS_BY_HAND),
        ("promises", promises, PROMISES_BY_HAND),
    ]
    for what, shown, expected in figures:
        if shown != expected:
            raise Failed(f"{what}: shown {shown}, by hand {expected}")
    print(f"  by hand: 405 people, up to 5,784; {requests:,} requests; {len(promises)} apps with promises")


def in_a_browser(server: Superset, home: Path, folder: Path, picture: Path) -> None:
    """The dashboard as people see it: what its charts asked for and were given, against the tables."""
    dashboard = server.ids("dashboard")[uuid_of("dashboards", "afterscope")]
    if not browse(f"{server.url}/superset/dashboard/{dashboard}/?standalone=2", home, picture):
        skipped = "no chromium: the dashboard was not opened in a browser"
        if os.environ.get("AFTERSCOPE_NO_SKIPS"):
            raise Failed(skipped)
        print(f"  skipped: {skipped}")
        return
    charts = {number: uuid for uuid, number in server.ids("chart").items()}
    given = [json.loads(path.read_text()) for path in sorted(server.recorded.iterdir())]
    found = {charts[each["asked"]["form_data"]["slice_id"]]: only_result(each["given"]) for each in given}
    for name, (read, expected) in CHARTS.items():
        rows = found.get(uuid_of("charts", name))
        if rows is None:
            raise Failed(f"{name}: the dashboard in the browser did not ask for it, {len(given)} others")
        same(f"{name} in the browser", read(rows), expected(Tables(folder)))
    print(f"  in the browser: {len(CHARTS)} charts with the same rows")


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def done(*command: str | Path) -> None:
    ended = call(*command)
    if ended.returncode != 0:
        raise Failed(f"{Path(command[0]).name} {command[1]}: exit code {ended.returncode}\n{ended.stderr}")


def bundle(tables: Path, database: Path, packed: Path) -> subprocess.CompletedProcess[str]:
    script = INTEGRATION / "bundle.py"
    return call(sys.executable, script, tables, "--database", database, "--bundle", packed)


def refused(tables: Path, scratch: Path, *words: str) -> None:
    """That the script says what is wrong, and leaves nothing behind."""
    database, packed = scratch / "refused.duckdb", scratch / "refused.zip"
    ended = bundle(tables, database, packed)
    if ended.returncode != 1 or database.exists() or packed.exists():
        raise Failed(
            f"bundle.py {tables}: exit code {ended.returncode}, and it should have refused: {ended.stderr}"
        )
    missing = [word for word in words if word not in ended.stderr]
    if missing or "Traceback" in ended.stderr:
        raise Failed(f"bundle.py {tables}: what it says lacks {missing}: {ended.stderr}")
    print(f"  {ended.stderr.strip()}".replace(str(scratch), "…"))


def copied(tables: Path, folder: Path, table: str, select: str) -> Path:
    """The folder's tables, one of them as the query over `it` has it."""
    folder.mkdir()
    for path in tables.glob("*.parquet"):
        (folder / path.name).write_bytes(path.read_bytes())
    source, target = tables / f"{table}.parquet", folder / f"{table}.parquet"
    duckdb.connect().execute(f"COPY (WITH it AS (FROM '{source}') {select}) TO '{target}' (FORMAT parquet)")
    return folder


def bad_input(tables: Path, scratch: Path) -> None:
    refused(scratch / "nowhere", scratch, "nowhere", "no such folder")
    refused(tables.parent, scratch, "4 of the 4 tables", "scope_summary.parquet")
    lacking = copied(
        tables, scratch / "lacking", "app_scope_exposure", "SELECT * EXCLUDE requests_after_grace FROM it"
    )
    refused(lacking, scratch, "app_scope_exposure.parquet", "lacks: requests_after_grace")
    (lacking / "deletion_verification.parquet").unlink()
    refused(lacking, scratch, "1 of the 4 tables", "deletion_verification.parquet")
    damaged = copied(tables, scratch / "damaged", "deletion_verification", "SELECT * FROM it")
    (damaged / "deletion_verification.parquet").write_text("no table")
    refused(damaged, scratch, "deletion_verification.parquet", "cannot be read as Parquet")


def missing_table_is_an_error(server: Superset, tables: Path) -> None:
    """A chart whose table is gone must not be an empty one."""
    table, away = tables / "daily_timeline.parquet", tables / "away"
    table.rename(away)
    try:
        server.rows(server.ids("chart")[uuid_of("charts", "requests_a_day")])
    except Failed as failed:
        if table.name not in str(failed):
            raise
        print(f"  {table.name} taken away: the chart is an error that names it")
    else:
        raise Failed(f"{table.name} was taken away, and the chart shows something")
    finally:
        away.rename(table)


@contextmanager
def step(what: str) -> Iterator[None]:
    print(what, flush=True)
    begun = time.monotonic()
    yield
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)


def check(program: Path, scratch: Path) -> None:
    # A blank in a path must do no harm.
    lake, database, packed = (
        scratch / "a lake",
        scratch / "a view" / "afterscope.duckdb",
        scratch / "dashboard.zip",
    )
    tables = lake / "out" / "latest"
    with step("sample, a report of 2019-06-01, and what is refused"):
        done(program, "sample", "groups-2019", lake, "--rows", "20000")
        done(program, "run", "--config", lake / "afterscope.toml", "--as-of", EARLIER)
        bad_input(tables, scratch)
        ended = bundle(tables, database, packed)
        if ended.returncode != 0:
            raise Failed(ended.stderr)
    print("a new Superset: its database, its roles, its server", flush=True)
    with superset(scratch / "home") as server:
        with step("import; charts of the report of 2019-06-01"):
            server.add(packed)
            compare(server, tables, "the tables of 2019-06-01")
        with step("the next report, of 2019-11-06: nothing is imported anew"):
            done(program, "run", "--config", lake / "afterscope.toml", "--as-of", LATER)
            found = compare(server, tables, "the tables of 2019-11-06")
            compare(server, EXPECTED, "the oracle's")
            by_hand(found)
        with step("the dashboard in a browser"):
            in_a_browser(server, scratch / "home", tables, scratch / "dashboard.png")
        with step("other tables under the same DuckDB file, while Superset runs"):
            missing_table_is_an_error(server, tables)
            select = """SELECT * REPLACE (
                true AS upper_bound_complete, NULL::BIGINT AS subjects_upper_bound,
                CASE WHEN grain = 'all' THEN 'incomplete' ELSE verdict END AS verdict
            ) FROM it"""
            other = copied(tables, scratch / "other", "scope_summary", select)
            if bundle(other, database, packed).returncode != 0:
                raise Failed("bundle.py refused tables with other values")
            found = compare(server, other, "tables of an incomplete run without memberships")
            same("its first bar", found["people_reached"][:1], [("(all) (incomplete)", 405, None)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="a new folder in which everything is made and kept")
    given = parser.parse_args()
    # The server is ended, too, where this program is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="afterscope-superset-") as temporary:
        scratch = (given.keep or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            check(given.program.resolve(), scratch)
        except Failed as failed:
            print(f"check-bi failed: {failed}", file=sys.stderr)
            return 1
    print(f"Superset shows what the tables say ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
