"""The oracle's tables as the CSV files that a run would leave."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa


def write(folder: Path, tables: dict[str, pa.Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.column_names)
            columns = [column.to_pylist() for column in table.columns]
            writer.writerows([cell(value) for value in row] for row in zip(*columns))


def cell(value: Any) -> str:
    """Nulls are empty, times have six digits and a Z, and what looks like a formula is a text."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case dt.datetime():
            return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case str() if value[:1] in "=+-@":
            return f"'{value}"
        case _:
            return str(value)
