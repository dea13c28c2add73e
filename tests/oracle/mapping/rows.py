"""Every row of every file as one line of `raw_rows`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mapping import columns, endpoints, files, moments
from mapping.registry import Registry
from mapping.settings import Column, Settings, Source

SCHEMA = pa.schema([
    ("row_no", pa.int64()),
    ("file_no", pa.int64()),
    ("source", pa.string()),
    ("person_space", pa.string()),
    ("group_space", pa.string()),
    ("event_space", pa.string()),
    # A timestamp in seconds exceeds 64 bits of nanoseconds long before it is unreadable.
    ("time", pa.decimal128(38, 0)),
    ("app", pa.string()),
    ("scopes", pa.list_(pa.string())),
    ("exercised", pa.list_(pa.string())),
    ("scope_unreadable", pa.bool_()),
    ("subject", pa.string()),
    ("actor", pa.string()),
    ("group_id", pa.string()),
    ("outcome", pa.string()),
    ("weight", pa.int64()),
    ("bytes", pa.int64()),
    ("records", pa.int64()),
    ("fields", pa.list_(pa.string())),
    ("event_id", pa.string()),
])


@dataclass
class Rows:
    """Columns of `raw_rows` and of `files`, filled file by file."""

    cells: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in SCHEMA.names})
    # Number, source, declared day, last day that the partition allows, file day, checksums.
    files: list[tuple[int, str, date | None, date | None, date | None, bool]] = field(
        default_factory=list
    )

    def table(self) -> pa.Table:
        arrays = [pa.array(self.cells[f.name], f.type) for f in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


def read(settings: Settings, registry: Registry) -> Rows:
    rows = Rows()
    for source in settings.sources:
        for file in files.of_source(settings.folder, source):
            add_file(rows, source, file, registry)
    return rows


def add_file(rows: Rows, source: Source, file: files.LogFile, registry: Registry) -> None:
    table = read_parquet(file.path)
    count = table.num_rows
    file_no = len(rows.files)
    cell = Cells(table, source, file.partitions)
    times = cell.times()
    scopes, exercised, unreadable = cell.scopes(registry)
    first = len(rows.cells["row_no"])
    new: dict[str, list[Any]] = {
        "row_no": list(range(first, first + count)),
        "file_no": [file_no] * count,
        "source": [source.name] * count,
        "person_space": [source.person_space] * count,
        "group_space": [source.group_space] * count,
        "event_space": [source.event_space] * count,
        "time": times,
        "app": cell.texts("app"),
        "scopes": scopes,
        "exercised": exercised,
        "scope_unreadable": unreadable,
        "subject": cell.identities("subject"),
        "actor": cell.identities("actor"),
        "group_id": cell.identities("group"),
        "outcome": cell.outcomes(),
        "weight": cell.plain("weight"),
        "bytes": cell.plain("bytes"),
        "records": cell.plain("records"),
        "fields": cell.fields(),
        "event_id": cell.identities("event_id"),
    }
    for name, values in new.items():
        rows.cells[name].extend(values)
    declared = declared_day(source, file)
    shown = declared or (day_of_all(times) if metadata_shows_times(file.path, source) else None)
    last = declared + timedelta(days=source.partition_slack_days) if declared else None
    checked = has_checksums(file.path)
    rows.files.append((file_no, source.name, declared, last, shown, checked))


def read_parquet(path: Path) -> pa.Table:
    """All rows, group by group: Arrow cannot read several groups of a nested dictionary at once."""
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(n) for n in range(file.num_row_groups)]
        return pa.concat_tables(groups) if groups else file.schema_arrow.empty_table()


def has_checksums(path: Path) -> bool:
    """Whether pages have them, by the first: programs write them for all or for none."""
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    full = next((g for g in groups if g.num_rows), None)
    if full is None:
        return False
    column = full.column(0)
    at = column.dictionary_page_offset or column.data_page_offset
    header = path.read_bytes()[at:]
    # parquet.thrift, PageHeader: three numbers (type, sizes) stand before the checksum, field 4; each is a
    # byte for the field, 0x15, and a number of seven bits a byte.
    place = 0
    for _ in range(3):
        place += 1
        while header[place] & 0x80:
            place += 1
        place += 1
    return header[place] == 0x15


def declared_day(source: Source, file: files.LogFile) -> date | None:
    if source.partition_column is None:
        return None
    value = file.partitions.get(source.partition_column)
    return date.fromisoformat(value[:10]) if value else None


def metadata_shows_times(path: Path, source: Source) -> bool:
    """Whether every row group's metadata gives its least and greatest time: a file day is not looked
    for in the rows (docs/counting.md, rule 12)."""
    column = source.columns["time"]
    if column.path is None or column.json is not None or column.entry is not None:
        return False
    with pq.ParquetFile(path) as file:
        places = [n for n in range(file.metadata.num_columns)
                  if file.metadata.schema.column(n).path == column.path]
        empty = file.schema_arrow.empty_table()
        found = columns.find(empty, column.path) if places else None
        if found is None or not speaks_of_moments(found.type, column):
            return False
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        chunks = [g.column(places[0]) for g in groups if g.num_rows]
        return all(c.is_stats_set and c.statistics.has_min_max for c in chunks)


def speaks_of_moments(kind: pa.DataType, column: Column) -> bool:
    if pa.types.is_timestamp(kind):
        return kind.tz is not None or column.zone == "UTC"
    return pa.types.is_integer(kind) and (column.format or "").startswith("epoch")


def day_of_all(times: list[int | None]) -> date | None:
    """The day on which the least and the greatest time lie (docs/counting.md, rule 12)."""
    days = {t // moments.DAY_NS for t in times if t is not None}
    return date(1970, 1, 1) + timedelta(days=days.pop()) if len(days) == 1 else None


@dataclass(frozen=True)
class Cells:
    """The mapped columns of one file."""

    table: pa.Table
    source: Source
    partitions: dict[str, str | None]

    def column(self, role: str) -> Column | None:
        return self.source.columns.get(role)

    def plain(self, role: str) -> list[Any]:
        column = self.column(role)
        if column is None:
            return [None] * self.table.num_rows
        cells = columns.values(self.table, column, self.partitions)
        # What a broken value of another role means is not defined.
        if role != "scopes" and any(isinstance(cell, columns.Unparsed) for cell in cells):
            raise ValueError(f"{self.source.name}: a value of {role} is no JSON")
        return cells

    def texts(self, role: str) -> list[str | None]:
        column = self.column(role)
        return [None if v is None or column is None else columns.text(v, column)
                for v in self.plain(role)]

    def identities(self, role: str) -> list[str | None]:
        column = self.column(role)
        return [None if v is None or column is None else columns.identity(v, column)
                for v in self.plain(role)]

    def times(self) -> list[int | None]:
        column = self.source.columns["time"]
        if column.json is None and column.entry is None and not column.concat:
            found = columns.arrow_values(self.table, column, self.partitions)
            if found is None:
                return [None] * self.table.num_rows
            return moments.from_arrow(found, column.format, column.zone)
        texts = pa.chunked_array([pa.array(self.texts("time"), pa.string())])
        return moments.from_arrow(texts, column.format, column.zone)

    def fields(self) -> list[list[str] | None]:
        """The fields of each row as a set (docs/counting.md, repeats)."""
        column = self.column("fields")
        return [None if v is None or column is None else sorted(set(columns.several(v, column)))
                for v in self.plain("fields")]

    def scopes(self, registry: Registry) -> tuple[list[list[str]], list[list[str]], list[bool]]:
        """The scopes of each row and which of them were exercised (docs/counting.md, rule 4)."""
        column = self.column("scopes")
        table = registry.endpoints
        by_call = table is not None and self.column("endpoint") is not None
        count = self.table.num_rows
        if column is None:
            called = self.needed(registry)
            return called, called, [False] * count
        cells = self.plain("scopes")
        unreadable = [isinstance(cell, columns.Unparsed) for cell in cells]
        carried = [[] if bad else columns.several(cell, column)
                   for cell, bad in zip(cells, unreadable)]
        one = not columns.is_several(column, self.kind(column))
        if one and self.source.scopes_mean != "held":
            return carried, carried, unreadable
        if by_call:
            pairs = zip(carried, self.needed(registry))
            return carried, [[s for s in held if s in call] for held, call in pairs], unreadable
        exercised = carried if self.source.scopes_mean == "exercised" else [[]] * count
        return carried, exercised, unreadable

    def kind(self, column: Column) -> pa.DataType | None:
        if column.path is None or column.path in self.partitions:
            return None
        found = columns.find(self.table, column.path)
        return None if found is None else found.type

    def needed(self, registry: Registry) -> list[list[str]]:
        calls = zip(self.texts("method"), self.texts("endpoint"))
        return [endpoints.needed(registry.endpoints or [], method, call) for method, call in calls]

    def outcomes(self) -> list[str]:
        """Allowed, denied or unknown (docs/counting.md, rule 3)."""
        column = self.column("status")
        if column is None:
            return ["allowed"] * self.table.num_rows
        null = "allowed" if self.source.null_allowed else "unknown"
        return [
            null if v is None else "allowed" if self.allows(v) else "denied"
            for v in (columns.text(v, column) for v in self.plain("status"))
        ]

    def allows(self, status: str) -> bool:
        for rule in self.source.allowed:
            bounds = re.fullmatch(r"(-?\d+)-(-?\d+)", str(rule))
            if str(rule) == status:
                return True
            if bounds and re.fullmatch(r"-?\d+", status):
                if int(bounds[1]) <= int(status) <= int(bounds[2]):
                    return True
        return False
