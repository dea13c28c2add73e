"""The queries of docs/analysts.md, asked of DuckDB over the published Parquet files.

    analysts.py PAGE OUTPUT SAMPLE

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


def main():
    page, output, sample = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    events(con, sample, published(con, output))
    blocks = re.findall(
        r"(?:With `(--param [^`]*)`:\n\n)?```sql\n(.*?)```\n\n```csv\n(.*?)```", page.read_text(), re.S
    )
    for given, sql, expected in blocks:
        values = {}
        for name, kind, value in re.findall(r"--param (\w+)(?::(\w+))?=(\S+)", given):
            values[name] = TYPES[kind or "text"](value)
        answer = con.execute(sql, values) if values else con.execute(sql)
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(column[0] for column in answer.description)
        writer.writerows([shown(value) for value in row] for row in answer.fetchall())
        if rows.getvalue() != expected:
            sys.exit(f"{sql}\ngives\n{rows.getvalue()}\nand the page has\n{expected}")
    print(len(blocks))


if __name__ == "__main__":
    main()
