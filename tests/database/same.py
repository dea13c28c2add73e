#!/usr/bin/env python3
"""Compares published tables, as DuckDB reads them, with what a database gave as CSV.

    same.py TABLES CSVS

TABLES holds <table>.parquet, CSVS holds <table>.csv (null is \\N, every other value in quotes) and types.csv
(table, column, type) as the database tells them. Rows must be the same both ways, as often as they are there.
Prints the number of rows of each table; the exit code is 1 if anything differs.
"""

import sys
from pathlib import Path

import duckdb

TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def main(tables: Path, csvs: Path) -> int:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    options = (
        "header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"', "
        "nullstr = '\\N', allow_quoted_nulls = false, parallel = false"
    )
    types = {
        (table, column): found
        for table, column, found in connection.execute(
            f"SELECT * FROM read_csv(?, {options})", [str(csvs / "types.csv")]
        ).fetchall()
    }
    failed = 0
    for path in sorted(tables.glob("*.parquet")):
        table = path.stem
        described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        columns = [(name, kind) for name, kind, *_ in described]
        for name, kind in columns:
            if types.get((table, name)) != TYPES[kind]:
                print(f"{table}.{name}: {kind} became {types.get((table, name))}")
                failed = 1
        # No text of the database holds U+0000.
        published = ", ".join(
            f"replace({quoted(name)}, chr(0), '[U+0000]')" if kind == "VARCHAR" else quoted(name)
            for name, kind in columns
        )
        cast = ", ".join(f"CAST({quoted(name)} AS {kind})" for name, kind in columns)
        published = f"SELECT {published} FROM read_parquet('{path}')"
        copied = f"SELECT {cast} FROM read_csv('{csvs / f'{table}.csv'}', {options})"
        for what, one, other in [("lost", published, copied), ("added", copied, published)]:
            rows = connection.execute(f"{one} EXCEPT ALL {other}").fetchall()
            if rows:
                print(f"{table}: {len(rows)} rows {what}, such as {rows[0]}")
                failed = 1
        count = connection.execute(f"SELECT count(*) FROM ({published})").fetchone()
        print(table, count[0])
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
