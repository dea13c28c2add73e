"""Compares what other programs read in the committed tables with what Arrow reads in the committed plain files.

    rows.py FOLDER

Delta is read by the deltalake package, Iceberg by ClickHouse (chDB), and by pyiceberg before any row was
deleted by its id, which pyiceberg does not read. FOLDER is `data-samples`. Prints one line for each reading;
exits 1 where the rows are not the same.
"""

import datetime as dt
import os
import pathlib
import sys

import chdb
import deltalake
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyiceberg.table import StaticTable

COLUMNS = ["dt", "event_time", "request_id", "app_id", "user_id", "group_id", "scope", "status", "bytes"]
FIRST_DAY = dt.date(2018, 5, 6)


def rows(table):
    """Rows as a sorted list of plain values; times as microseconds."""
    table = table.select(COLUMNS)
    types = [pa.date32(), pa.timestamp("us", "UTC"), *[pa.string()] * 2, *[pa.int64()] * 2, pa.string()]
    types += [pa.int64()] * 2
    table = table.cast(pa.schema([pa.field(name, of) for name, of in zip(COLUMNS, types)]))
    table = table.set_column(1, "event_time", table["event_time"].cast(pa.int64()))
    return sorted(zip(*(column.to_pylist() for column in table.columns)), key=repr)


def plain():
    parts = ds.partitioning(pa.schema([pa.field("dt", pa.date32())]), flavor="hive")
    return rows(ds.dataset("groups-2019/logs", partitioning=parts).to_table())


def delta():
    table = deltalake.DeltaTable("groups-2019-delta/logs")
    reader = deltalake.QueryBuilder().register("logs", table)
    return rows(pa.table(reader.execute("SELECT * FROM logs").read_all()))


def iceberg_by_clickhouse():
    # ClickHouse finds the files of a table whose location names no place below the folder that it is in.
    here = os.getcwd()
    os.chdir("groups-2019-iceberg")
    found = chdb.query("SELECT * FROM icebergLocal('logs/')", "Parquet")
    os.chdir(here)
    return rows(pq.read_table(pa.BufferReader(found.bytes())))


def iceberg_by_pyiceberg():
    """The second snapshot."""
    here = os.getcwd()
    os.chdir("groups-2019-iceberg")
    table = StaticTable.from_metadata("logs/metadata/v6.metadata.json").scan(snapshot_id=1002).to_arrow()
    os.chdir(here)
    return rows(table)


def main():
    os.chdir(pathlib.Path(sys.argv[1]))
    expected = plain()
    # What that snapshot holds: the days that were written by then, of which those are not put right yet that
    # are corrected or rewritten later.
    half = [
        row
        for row in expected
        if row[0] <= dt.date(2019, 2, 4) and (row[0] - FIRST_DAY).days % 40 not in (15, 25)
    ]
    found = [row for row in iceberg_by_pyiceberg() if (row[0] - FIRST_DAY).days % 40 not in (15, 25)]
    readings = [
        ("Delta by deltalake", delta(), expected),
        ("Iceberg by ClickHouse", iceberg_by_clickhouse(), expected),
        ("Iceberg's second snapshot by pyiceberg", found, half),
    ]
    failed = False
    for name, found, wanted in readings:
        print(f"{name}: {len(found)} rows")
        if found != wanted:
            failed = True
            only = [row for row in found if row not in wanted][:2], [row for row in wanted if row not in found][:2]
            print(f"{len(wanted)} in plain files; only here {only[0]}, only there {only[1]}", file=sys.stderr)
    sys.exit(1 if failed else 0)


main()
