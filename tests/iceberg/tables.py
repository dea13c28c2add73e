"""Iceberg tables made by pyiceberg, and what pyiceberg reads in them.

    tables.py FOLDER

Writes tables below FOLDER and prints one line of JSON for each reading: the table's folder, the keys of
the configuration that name the snapshot, and the requests, people and bytes of the scope `read_members`
after its restriction, counted over pyiceberg's own rows.
"""

import datetime as dt
import json
import sys
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.types import (
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

warnings.filterwarnings("ignore")

UTC = dt.timezone.utc
FIELDS = [
    NestedField(1, "event_time", TimestamptzType(), required=False),
    NestedField(2, "request_id", StringType(), required=False),
    NestedField(3, "app_id", StringType(), required=False),
    NestedField(4, "user_id", IntegerType(), required=False),
    NestedField(5, "group_id", LongType(), required=False),
    NestedField(6, "scope", StringType(), required=False),
    NestedField(7, "status", IntegerType(), required=False),
    NestedField(8, "bytes", LongType(), required=False),
]
RESTRICTED = dt.datetime(2019, 6, 1, tzinfo=UTC)


def rows(first, count, day):
    """Calls of `day`, every third of another scope."""
    start = dt.datetime(2019, 7, day, 8, tzinfo=UTC)
    numbers = range(first, first + count)
    return {
        "event_time": pa.array([start + dt.timedelta(minutes=n) for n in numbers], pa.timestamp("us", "UTC")),
        "request_id": pa.array([f"r{n}" for n in numbers]),
        "app_id": pa.array([f"app-{n % 2 + 1}" for n in numbers]),
        "user_id": pa.array([n % 7 for n in numbers], pa.int32()),
        "group_id": pa.array([10 + n % 3 for n in numbers], pa.int64()),
        "scope": pa.array(["email" if n % 3 == 2 else "read_members" for n in numbers]),
        "status": pa.array([200] * count, pa.int32()),
        "bytes": pa.array([n for n in numbers], pa.int64()),
    }


def told(table, names=None, snapshot=None, keys=None):
    """One reading, counted."""
    names = {"user_id": "user_id", "bytes": "bytes"} | (names or {})
    read = table.scan(snapshot_id=snapshot).to_arrow().to_pylist()
    read = [r for r in read if r["scope"] == "read_members" and r["event_time"] >= RESTRICTED]
    folder = table.location().removeprefix("file://")
    print(json.dumps({
        "folder": folder,
        "metadata": table.metadata_location.removeprefix("file://"),
        "keys": keys or {},
        "columns": names,
        "requests": len(read),
        "people": len({r[names["user_id"]] for r in read}),
        "bytes": sum(r[names["bytes"]] or 0 for r in read),
    }), flush=True)


def partitioned(catalog, name, source, transform):
    spec = PartitionSpec(PartitionField(source_id=source, field_id=1000, transform=transform, name="part"))
    table = catalog.create_table(f"n.{name}", Schema(*FIELDS), partition_spec=spec)
    for day in (1, 2, 3):
        table.append(pa.table(rows(day * 100, 20, day)))
    return table


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    catalog.create_namespace("n")

    # Hidden partitioning, with every transform.
    for name, source, transform in [
        ("identity", 3, IdentityTransform()),
        ("bucket", 4, BucketTransform(4)),
        ("truncate", 2, TruncateTransform(2)),
        ("year", 1, YearTransform()),
        ("month", 1, MonthTransform()),
        ("day", 1, DayTransform()),
        ("hour", 1, HourTransform()),
        ("void", 4, VoidTransform()),
    ]:
        told(partitioned(catalog, name, source, transform))

    # A partition field whose name Avro does not allow: manifests call it otherwise.
    spec = PartitionSpec(PartitionField(source_id=3, field_id=1000, transform=IdentityTransform(), name="app-id"))
    table = catalog.create_table("n.odd_name", Schema(*FIELDS), partition_spec=spec)
    table.append(pa.table(rows(0, 20, 1)))
    told(table)

    # A table over time: a snapshot for each change.
    table = catalog.create_table("n.over_time", Schema(*FIELDS))
    table.append(pa.table(rows(0, 30, 1)))
    first = table.current_snapshot()
    table.manage_snapshots().create_tag(first.snapshot_id, "first").commit()
    told(table)
    with table.update_schema() as change:
        change.update_column("user_id", LongType())
        change.rename_column("user_id", "person")
        change.delete_column("bytes")
        change.add_column("size", LongType())
    with table.update_spec() as change:
        change.add_field("event_time", DayTransform(), "day")
    later = rows(100, 30, 2)
    later["person"] = later.pop("user_id").cast(pa.int64())
    later["size"] = later.pop("bytes")
    table.append(pa.table(later))
    now = {"user_id": "person", "bytes": "size"}
    told(table, now)
    table.delete("person = 3")
    told(table, now)
    with table.update_spec() as change:
        change.remove_field("day")
        change.add_field("app_id", IdentityTransform(), "app")
    # A column of the old name is another column.
    with table.update_schema() as change:
        change.add_column("bytes", LongType())
    again = rows(200, 30, 3)
    again["person"] = again.pop("user_id").cast(pa.int64())
    again["size"] = pa.nulls(30, pa.int64())
    table.append(pa.table(again))
    told(table, {"user_id": "person", "bytes": "bytes"})
    told(table, None, first.snapshot_id, {"snapshot": first.snapshot_id})
    told(table, None, first.snapshot_id, {"ref": "first"})
    at = dt.datetime.fromtimestamp(first.timestamp_ms / 1000, UTC).isoformat()
    told(table, None, first.snapshot_id, {"timestamp": at})

    # Files that were written elsewhere, without numbers of columns.
    table = catalog.create_table("n.added", Schema(*FIELDS))
    path = f"{table.location().removeprefix('file://')}/data/elsewhere.parquet"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows(0, 25, 1)), path)
    table.add_files([path])
    table.append(pa.table(rows(100, 25, 2)))
    told(table)
    with table.update_schema() as change:
        change.rename_column("user_id", "person")
    told(table, {"user_id": "person"})


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
