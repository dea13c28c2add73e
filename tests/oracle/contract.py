"""What each table promises: the `-- key:` and `-- column:` lines of queries/*.sql.

Only these lines are read, never the SELECT below them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

QUERIES = Path(__file__).resolve().parents[2] / "queries"

PEOPLE = "notification_list"

TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp[us, UTC]": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class ColumnContract:
    name: str
    type: pa.DataType
    # The header says why the column is null so far.
    always_null: bool


@dataclass(frozen=True)
class TableContract:
    name: str
    key: list[str]
    columns: list[ColumnContract]


def tables() -> list[TableContract]:
    """The contracts of a run's tables, in the order of their files."""
    return [c for c in every_table() if c.name != PEOPLE]


def people() -> TableContract:
    """The contract of the list of people, which is none of a run's tables."""
    return next(c for c in every_table() if c.name == PEOPLE)


def every_table() -> list[TableContract]:
    return [contract(path) for path in sorted(QUERIES.glob("[0-9]*.sql"))]


def contract(path: Path) -> TableContract:
    name = re.sub(r"^\d+_", "", path.stem)
    key: list[str] = []
    columns: list[ColumnContract] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- key: "):
            key = [part.strip() for part in line.removeprefix("-- key: ").split(",")]
        elif line.startswith("-- column: "):
            parts = [p.strip() for p in line.removeprefix("-- column: ").split("|", 3)]
            columns.append(ColumnContract(parts[0], TYPES[parts[1]], parts[3].startswith("null:")))
    return TableContract(name, key, columns)
