#!/usr/bin/env python3
"""Lakes of other shapes than gen.py's, and the same exposure question about them for other engines.

    shapes.py make SHAPE LAKE [--rows 20000000]      SHAPE: files | wide | list
    shapes.py ask ENGINE SHAPE LAKE [--threads 2]    ENGINE: duckdb | polars | chdb

files  the needle lake (2 % restricted) in files of 10,000 rows, a hundred to a day
wide   the needle lake with 200 Parquet columns: the seven that are asked for (event_time, client.app_id,
       actor.user_id, target.group_id, auth.scope, request.status, request.bytes) lie beside long texts, maps,
       lists of structs and 13 sections of 13 columns, whose values are the same every day
list   a column `scopes` that lists three of 50 restricted scopes in every row, and no other scope: any three, so
       that an app calls with any of 19,600 sets; or, where AFTERSCOPE_BENCH_SETS is a number, with that many sets

Rows, days and ids come from gen.py, in the folder that AFTERSCOPE_BENCH names; SHAPE files is asked by the
peers.py that lies there. `ask` prints one line of JSON as peers.py does: engine, rows of the answer, total
(requests, users, groups; of wide, bytes too), seconds.
"""

import argparse
import datetime as dt
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ["AFTERSCOPE_BENCH"])
import gen  # noqa: E402
import peers  # noqa: E402

FIRST = dt.date(2019, 7, 1)
ROWS_A_DAY = {"files": 1_000_000, "wide": 833_334, "list": 833_334}
SCOPES = [f"deprecated.scope_{i:02}" for i in range(50)]
SECTIONS = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    making = actions.add_parser("make")
    making.add_argument("shape", choices=ROWS_A_DAY)
    making.add_argument("lake", type=Path)
    making.add_argument("--rows", type=int, default=20_000_000)
    making.set_defaults(do=lambda a: make(a.shape, a.lake, a.rows))
    asking = actions.add_parser("ask")
    asking.add_argument("engine", choices=["duckdb", "polars", "chdb"])
    asking.add_argument("shape", choices=["wide", "list"])
    asking.add_argument("lake")
    asking.add_argument("--threads", type=int, default=2)
    asking.set_defaults(do=lambda a: ask(a.engine, a.shape, a.lake, a.threads))
    args = parser.parse_args()
    args.do(args)


# Lakes


def make(shape: str, lake: Path, rows: int) -> None:
    import numpy as np

    a_day = ROWS_A_DAY[shape]
    write_day = {"files": write_files, "wide": Wide(a_day).write, "list": write_list}[shape]
    for i in range(round(rows / a_day)):
        day = FIRST + dt.timedelta(days=i)
        folder = lake / "logs" / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng((1, i))
        table = gen.day_table(rng, day, a_day, 1.0 if shape == "list" else 0.02, 50_000_000)
        write_day(rng, table, folder)
    scopes = SCOPES if shape == "list" else gen.DEPRECATED
    lines = [f"{s},{FIRST}T00:00:00Z,{'name;profile_picture' if i % 2 else 'name'}" for i, s in enumerate(scopes)]
    (lake / "scopes.csv").write_text("\n".join(["scope,deprecated_at,data_fields", *lines, ""]))
    apps = [f"app-{i:05d},App {i},dev-{i * 31 % gen.DEVELOPERS:04d},Developer" for i in range(gen.APPS)]
    (lake / "apps.csv").write_text("\n".join(["app_id,app_name,developer_id,developer_name", *apps, ""]))


def plain(table):
    """Texts instead of dictionaries, as gen.py writes them."""
    import pyarrow as pa

    return table.cast(pa.schema([f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f
                                 for f in table.schema]))


def write(table, path: Path, **settings) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=1 << 20, **settings)


def write_files(_rng, table, folder: Path) -> None:
    table = plain(table)
    texts = ["app_id", "scope", "endpoint", "ip", "user_agent", "status"]
    for i in range(table.num_rows // 10_000):
        write(table.slice(i * 10_000, 10_000), folder / f"part-{i:03}.parquet", use_dictionary=texts)


def write_list(rng, table, folder: Path) -> None:
    import numpy as np
    import pyarrow as pa

    rows = table.num_rows
    sets = int(os.environ.get("AFTERSCOPE_BENCH_SETS", 0))
    if sets:
        apps = table.column("app_id").combine_chunks().indices.to_numpy()
        picks = threes(np.random.default_rng(3), gen.APPS * sets)[apps * sets + rng.integers(0, sets, rows)]
    else:
        picks = threes(rng, rows)
    scopes = pa.ListArray.from_arrays(pa.array(np.arange(0, 3 * rows + 1, 3, dtype=np.int32)),
                                      pa.array(SCOPES).take(pa.array(picks.reshape(-1))))
    where = table.schema.get_field_index("scope")
    table = plain(table).set_column(where, "scopes", scopes)
    texts = ["app_id", "scopes.list.element", "endpoint", "ip", "user_agent", "status"]
    write(table, folder / "part-0.parquet", use_dictionary=texts)


def threes(rng, count: int):
    """Rows of three different scopes: steps from one to the next add up to less than a whole round."""
    import numpy as np

    first = rng.integers(0, 50, count)
    second = first + 1 + rng.integers(0, 24, count)
    third = second + 1 + rng.integers(0, 24, count)
    return np.stack([first, second, third], axis=1) % 50


class Wide:
    """What lies beside the columns that are asked for: made once, the same every day."""

    def __init__(self, rows: int) -> None:
        import numpy as np
        import pyarrow as pa

        self.rows, self.rng = rows, np.random.default_rng(2)
        words = ["request", "token", "accepted", "cache", "miss", "upstream", "member", "list", "page", "retry"]
        message = [" ".join(self.rng.choice(words, 30)) + f" #{i}" for i in range(20_000)]
        self.message = self.pick(message)
        self.labels = self.map(["team", "region", "tier", "build"], 3)
        self.headers = self.map(["accept", "via", "x-trace", "etag", "range"], 4)
        self.trace = self.list(pa.StructArray.from_arrays(
            [self.pick(words, 2 * rows), self.number(2 * rows), self.number(2 * rows)], ["name", "start", "took"]), 2)
        self.roles = self.list(self.pick(["owner", "member", "guest"], rows), 1)
        self.small = [self.pick([f"v{i}.{j}" for j in range(40)]) for i in range(8)]
        self.sections = [self.section() for _ in range(SECTIONS)]

    def number(self, rows=None):
        import pyarrow as pa

        return pa.array(self.rng.integers(0, 1000, rows or self.rows))

    def pick(self, values, rows=None):
        import pyarrow as pa

        return pa.array(values).take(pa.array(self.rng.integers(0, len(values), rows or self.rows)))

    def list(self, values, each: int):
        import numpy as np
        import pyarrow as pa

        return pa.ListArray.from_arrays(pa.array(np.arange(0, each * self.rows + 1, each, dtype=np.int32)), values)

    def map(self, keys, each: int):
        import numpy as np
        import pyarrow as pa

        names = pa.array([keys[i % len(keys)] for i in range(each)]).take(
            pa.array(np.tile(np.arange(each), self.rows)))
        values = self.pick([f"value-{i}" for i in range(200)], each * self.rows)
        return pa.MapArray.from_arrays(
            pa.array(np.arange(0, each * self.rows + 1, each, dtype=np.int32)), names, values)

    def section(self):
        """13 columns: five of whole numbers, three of fractions, two of texts, a truth value, a rare one, a list."""
        import pyarrow as pa

        columns = [self.number() for _ in range(5)]
        columns += [self.pick(self.rng.random(500)) for _ in range(3)]
        columns += [self.pick([f"text {i} of a section" for i in range(60)]) for _ in range(2)]
        columns.append(pa.array(self.rng.random(self.rows) < 0.5))
        columns.append(pa.array(self.rng.integers(0, 9, self.rows), mask=self.rng.random(self.rows) < 0.98))
        columns.append(self.list(self.pick([1, 2, 3, 5, 8], self.rows), 1))
        return pa.StructArray.from_arrays(columns, [f"field_{i:02}" for i in range(len(columns))])

    def write(self, _rng, table, folder: Path) -> None:
        import pyarrow as pa

        day = {name: table.column(name).combine_chunks() for name in table.column_names}
        day = {k: v.cast(pa.string()) if pa.types.is_dictionary(v.type) else v for k, v in day.items()}
        small = self.small

        def struct(**fields):
            return pa.StructArray.from_arrays(list(fields.values()), list(fields))

        request = struct(id=day["request_id"], endpoint=day["endpoint"], method=small[0], status=day["status"],
                         bytes=day["bytes"], ip=day["ip"], user_agent=day["user_agent"], headers=self.headers)
        columns = {
            "event_time": day["event_time"],
            "message": self.message,
            "request": request,
            "client": struct(app_id=day["app_id"], version=small[1], platform=small[2],
                             sdk=struct(name=small[3], build=small[4])),
            "actor": struct(user_id=day["user_id"], locale=small[5], roles=self.roles),
            "target": struct(group_id=day["group_id"], kind=small[6], owner=day["user_id"]),
            "auth": struct(scope=day["scope"], issuer=small[7], kind=small[1], expires=day["event_time"]),
            "labels": self.labels,
            "trace": self.trace,
            **{f"section_{i:02}": section for i, section in enumerate(self.sections)},
        }
        texts = [path for path in leaves(pa.table(columns).schema) if not path.endswith(OWN_VALUES)]
        write(pa.table(columns), folder / "part-0.parquet", use_dictionary=texts)


# Columns in which nearly every row has a value of its own: a dictionary would only be given up.
OWN_VALUES = ("event_time", "request.id", "request.bytes", "user_id", "group_id", "target.owner", "expires")


def leaves(schema) -> list[str]:
    import io

    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.ParquetWriter(sink, schema).close()
    written = pq.ParquetFile(sink).schema
    return [written.column(i).path for i in range(len(written))]


# Questions


def ask(engine: str, shape: str, lake: str, threads: int) -> None:
    start = time.time()
    rows, total = globals()[f"{engine}_{shape}"](lake, threads)
    print(json.dumps({"engine": engine, "rows": rows, "total": [int(x) for x in total],
                      "seconds": round(time.time() - start, 2)}))


# Each event is one row here: all grains are grouping sets of one pass.
WIDE = """
WITH e AS (
  SELECT l.auth.scope AS scope, l.client.app_id AS app_id, a.developer_id AS developer_id, l.actor.user_id AS user_id,
         l.target.group_id AS group_id, l.event_time AS event_time, l.request.bytes AS bytes
  FROM {logs} l JOIN {scopes} s ON l.auth.scope = s.scope JOIN {apps} a ON l.client.app_id = a.app_id
  WHERE l.event_time >= {cutoff} AND l.request.status BETWEEN 200 AND 299)
SELECT GROUPING(scope, app_id, developer_id) AS grain, count(*), {users}, {groups}, sum(bytes),
       min(event_time), max(event_time), scope, app_id, developer_id
FROM e GROUP BY GROUPING SETS ((scope, app_id), (scope, developer_id), (scope), (app_id), (developer_id), ())
"""

# An event counts once for each of its scopes, and once where no scope is named: two passes. All scopes are
# restricted on one day, so that the second need not look at which of them let the event in.
LIST = """
WITH e AS (
  SELECT l.scopes AS scopes, l.app_id AS app_id, a.developer_id AS developer_id,
         l.user_id AS user_id, l.group_id AS group_id, l.event_time AS event_time
  FROM {logs} l JOIN {apps} a ON l.app_id = a.app_id
  WHERE l.status BETWEEN 200 AND 299 AND l.event_time >= {earliest} AND {any}),
x AS (
  SELECT s.scope AS scope, app_id, developer_id, user_id, group_id, event_time
  FROM (SELECT {unnest}(scopes) AS one, app_id, developer_id, user_id, group_id, event_time FROM e) u
  JOIN {scopes} s ON u.one = s.scope WHERE u.event_time >= {cutoff})
SELECT GROUPING(scope, app_id, developer_id) AS grain, count(*), {users}, {groups},
       min(event_time), max(event_time), scope, app_id, developer_id
FROM x GROUP BY GROUPING SETS ((scope, app_id), (scope, developer_id), (scope))
UNION ALL
SELECT GROUPING(app_id, developer_id) + 4, count(*), {users}, {groups},
       min(event_time), max(event_time), NULL, app_id, developer_id
FROM e GROUP BY GROUPING SETS ((app_id), (developer_id), ())
"""


def duckdb(sql: str, lake: str, threads: int):
    import duckdb as engine

    connection = engine.connect()
    connection.execute(f"SET threads={threads}; SET TimeZone='UTC'")
    scopes = f"read_csv('{lake}/scopes.csv')"
    return connection.execute(sql.format(
        logs=f"read_parquet('{lake}/logs/*/*.parquet')", scopes=scopes, apps=f"read_csv('{lake}/apps.csv')",
        cutoff="CAST(s.deprecated_at AS TIMESTAMPTZ)", unnest="unnest",
        earliest=f"(SELECT min(CAST(deprecated_at AS TIMESTAMPTZ)) FROM {scopes})",
        any=f"list_has_any(l.scopes, (SELECT list(scope) FROM {scopes}))",
        users="count(DISTINCT user_id)", groups="count(DISTINCT group_id)")).fetchall()


def chdb(sql: str, lake: str, threads: int):
    import chdb as engine

    scopes = f"file('{lake}/scopes.csv','CSVWithNames')"
    out = engine.query(sql.format(
        logs=f"file('{lake}/logs/*/*.parquet','Parquet')", scopes=scopes,
        apps=f"file('{lake}/apps.csv','CSVWithNames')", cutoff="s.deprecated_at", unnest="arrayJoin",
        earliest=f"(SELECT min(deprecated_at) FROM {scopes})",
        any=f"hasAny(l.scopes, (SELECT groupArray(scope) FROM {scopes}))",
        users="uniqExact(user_id)", groups="uniqExact(group_id)",
    ) + f" SETTINGS max_threads={threads}, force_grouping_standard_compatibility=1", "JSONCompact")
    return json.loads(str(out))["data"]


def total(rows, measures: int):
    row = next(r for r in rows if int(r[0]) == 7)
    return len(rows), row[1:1 + measures]


def duckdb_wide(lake, threads):
    return total(duckdb(WIDE, lake, threads), 4)


def duckdb_list(lake, threads):
    return total(duckdb(LIST, lake, threads), 3)


def chdb_wide(lake, threads):
    return total(chdb(WIDE, lake, threads), 4)


def chdb_list(lake, threads):
    return total(chdb(LIST, lake, threads), 3)


def polars_frames(lake, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    scopes = pl.scan_csv(f"{lake}/scopes.csv").with_columns(
        pl.col("deprecated_at").str.to_datetime(time_zone="UTC", time_unit="us"))
    measures = [pl.len().alias("n"), pl.col("user_id").n_unique().alias("users"),
                pl.col("group_id").drop_nulls().n_unique().alias("grps"),
                pl.col("event_time").min().alias("first_access"), pl.col("event_time").max().alias("last_access")]
    return pl, pl.scan_parquet(f"{lake}/logs/*/*.parquet"), scopes, pl.scan_csv(f"{lake}/apps.csv"), measures


def polars_answer(pl, parts, measures, total_columns):
    """Counts every grain of its part in one streaming run; the last is the total."""
    frames = pl.collect_all([part.group_by(grain).agg(measures) if grain else part.select(measures)
                             for part, grain in parts], engine="streaming")
    return sum(f.height for f in frames), frames[-1].select(total_columns).row(0)


def polars_wide(lake, threads):
    pl, logs, scopes, apps, measures = polars_frames(lake, threads)

    def field(struct, name):
        return pl.col(struct).struct.field(name)

    events = (logs.filter(field("request", "status").is_between(200, 299))
              .select("event_time", field("auth", "scope"), field("client", "app_id"), field("actor", "user_id"),
                      field("target", "group_id"), field("request", "bytes"))
              .join(scopes, on="scope").filter(pl.col("event_time") >= pl.col("deprecated_at")).join(apps, on="app_id")
              .select("scope", "app_id", "developer_id", "user_id", "group_id", "event_time", "bytes"))
    measures.append(pl.col("bytes").sum())
    return polars_answer(pl, [(events, g) for g in peers.GRAINS], measures, ["n", "users", "grps", "bytes"])


def polars_list(lake, threads):
    pl, logs, scopes, apps, measures = polars_frames(lake, threads)
    known = scopes.collect()
    events = (logs.filter(pl.col("status").is_between(200, 299)
                          & (pl.col("event_time") >= known["deprecated_at"].min())
                          & (pl.col("scopes").list.set_intersection(known["scope"].to_list()).list.len() > 0))
              .join(apps, on="app_id")
              .select("scopes", "app_id", "developer_id", "user_id", "group_id", "event_time"))
    each = (events.explode("scopes").rename({"scopes": "scope"}).join(scopes, on="scope")
            .filter(pl.col("event_time") >= pl.col("deprecated_at")))
    return polars_answer(pl, [(each if "scope" in g else events, g) for g in peers.GRAINS], measures,
                         ["n", "users", "grps"])


if __name__ == "__main__":
    main()
