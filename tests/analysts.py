"""The queries of docs/analysts.md, asked of DuckDB or of Polars for Python over the published Parquet files.

    analysts.py PAGE OUTPUT SAMPLE [duckdb|polars]

Each ```sql block must give the rows of the ```csv block behind it. `events`, which no file holds, are made from
the sample's log itself, by the rules of docs/counting.md as far as the sample needs them.
"""

import csv
import datetime
import io
import json
import re
import sys
from pathlib import Path

import duckdb

TYPES = {"int": int, "number": float, "date": datetime.date.fromisoformat, "text": str}


def shown(value):
    """A value as a cell of CSV, times as short as is exact."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        fraction = f".{value.microsecond:06d}" if value.microsecond else ""
        return value.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
    return str(value)


def published(con, output):
    """Tables of the latest run, and those of all runs."""
    latest = json.loads((output / "latest.json").read_text())["run_id"]
    runs = sorted((output / "runs").iterdir())
    con.execute("CREATE SCHEMA all_runs")
    for file in sorted((output / "runs" / latest / "tables").glob("*.parquet")):
        con.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'")
        of_runs = []
        for run in runs:
            as_of = json.loads((run / "manifest.json").read_text())["as_of"]
            of_runs.append(
                f"SELECT '{run.name}' AS run_id, TIMESTAMPTZ '{as_of}' AS as_of, *"
                f" FROM '{run}/tables/{file.name}'"
            )
        con.execute(f"CREATE VIEW all_runs.{file.stem} AS " + " UNION ALL BY NAME ".join(of_runs))
    return json.loads((output / "latest.json").read_text())["as_of"]


def events(con, sample, as_of):
    """Rows of the log with a restricted scope, repeats taken out."""
    con.execute(f"""
        CREATE VIEW events AS
        SELECT DISTINCT event_time AS at, CAST(l.app_id AS VARCHAR) AS app_id, l.scope AS scopes,
            CASE WHEN status BETWEEN 200 AND 299 THEN 'allowed' WHEN status IS NULL THEN 'unknown'
                ELSE 'denied' END AS outcome,
            1 AS weight, CAST(group_id AS VARCHAR) AS group_id, user_id, request_id
        FROM '{sample}/logs/**/*.parquet' l
        JOIN read_csv('{sample}/scopes.csv') s ON l.scope = s.scope
        WHERE event_time >= s.deprecated_at AND event_time < TIMESTAMPTZ '{as_of}'
    """)


class DuckDB:
    def __init__(self, output, sample):
        self.con = duckdb.connect()
        self.con.execute("SET TimeZone = 'UTC'")
        events(self.con, sample, published(self.con, output))

    def ask(self, sql, values):
        """Names and rows."""
        answer = self.con.execute(sql, values) if values else self.con.execute(sql)
        return [column[0] for column in answer.description], answer.fetchall()


class Polars:
    """Its SQL has no parameters, no schemas and no zones: values stand in the text, `all_runs.x` is
    `all_runs_x`, and times are those of UTC without saying so."""

    def __init__(self, output, sample):
        import polars

        zoned = polars.selectors.datetime(time_zone="UTC").dt.replace_time_zone(None)
        self.context = polars.SQLContext(eager=True)
        con = duckdb.connect()
        con.execute("SET TimeZone = 'UTC'")
        events(con, sample, published(con, output))
        latest = json.loads((output / "latest.json").read_text())["run_id"]
        for file in (output / "runs" / latest / "tables").glob("*.parquet"):
            self.context.register(file.stem, polars.read_parquet(file).with_columns(zoned))
            of_runs = con.sql(f"SELECT * FROM all_runs.{file.stem}").to_arrow_table()
            of_runs = polars.from_arrow(of_runs).with_columns(zoned)
            self.context.register(f"all_runs_{file.stem}", of_runs)
        of_events = con.sql("SELECT * FROM events").to_arrow_table()
        self.context.register("events", polars.from_arrow(of_events).with_columns(zoned))

    def ask(self, sql, values):
        sql = re.sub(r"\ball_runs\.(\w+)", r"all_runs_\1", sql)
        for name, value in values.items():
            quoted = str(value).replace("'", "''")
            literal = value if isinstance(value, (int, float)) else f"'{quoted}'"
            if isinstance(value, datetime.date):
                literal = f"DATE {literal}"
            sql = re.sub(rf"\${name}\b", lambda _, text=str(literal): text, sql)
        answer = self.context.execute(sql)
        return answer.columns, answer.rows()


def main():
    page, output, sample = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    engine = {"duckdb": DuckDB, "polars": Polars}[(sys.argv[4:] or ["duckdb"])[0]](output, sample)
    blocks = re.findall(
        r"(?:With `(--param [^`]*)`:\n\n)?```sql\n(.*?)```\n\n```csv\n(.*?)```", page.read_text(), re.S
    )
    for given, sql, expected in blocks:
        values = {}
        for name, kind, value in re.findall(r"--param (\w+)(?::(\w+))?=(\S+)", given):
            values[name] = TYPES[kind or "text"](value)
        names, answer = engine.ask(sql, values)
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([shown(value) for value in row] for row in answer)
        if rows.getvalue() != expected:
            sys.exit(f"{sql}\ngives\n{rows.getvalue()}\nand the page has\n{expected}")
    print(len(blocks))


if __name__ == "__main__":
    main()
