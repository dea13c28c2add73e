"""The values of a mapped column: by name, by path, joined, from an entry, from JSON text."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mapping.settings import Column


class MissingColumn(Exception):
    """A file lacks a mapped column that it must have."""


class Unparsed:
    """Stands for a text that is no JSON."""


def find(table: pa.Table, path: str) -> pa.ChunkedArray | None:
    """The column of that very name, else the nested one."""
    if path in table.column_names:
        return decoded(table.column(path))
    head, _, rest = path.partition(".")
    while rest:
        if head in table.column_names:
            found = nested(table.column(head), rest)
            if found is not None:
                return decoded(found)
        step, _, rest = rest.partition(".")
        head = f"{head}.{step}"
    return None


def nested(values: pa.ChunkedArray, path: str) -> pa.ChunkedArray | None:
    for step in path.split("."):
        kind = values.type
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return None
        # struct_field carries the nulls of the outer struct into the inner column.
        values = pc.struct_field(values, step)
    return values


def decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def arrow_values(table: pa.Table, column: Column, partitions: dict[str, str | None]
                 ) -> pa.ChunkedArray | None:
    """The Arrow values of a plain column; None where the file lacks it and that means null."""
    assert column.path is not None
    if column.path in partitions:
        value = partitions[column.path]
        return pa.chunked_array([pa.array([value] * table.num_rows, pa.string())])
    found = find(table, column.path)
    if found is None and column.missing != "null":
        raise MissingColumn(column.path)
    return found


def values(table: pa.Table, column: Column, partitions: dict[str, str | None]) -> list[Any]:
    """One Python value a row."""
    if column.concat:
        parts = [concat_part(table, part, column.missing) for part in column.concat]
        return [
            None if any(v is None for v in row) else "".join(as_text(v) or "" for v in row)
            for row in zip(*parts)
        ]
    found = arrow_values(table, column, partitions)
    if found is None:
        return [None] * table.num_rows
    cells = found.to_pylist()
    if column.entry is not None:
        cells = [pick_entry(cell, column.entry) for cell in cells]
    if column.json is not None:
        cells = [pick_json(cell, column.json) for cell in cells]
    return cells


def concat_part(table: pa.Table, part: str, missing: str) -> list[Any]:
    found = find(table, part)
    if found is not None:
        return found.to_pylist()
    literal = re.fullmatch(r"'(.*)'", part, re.DOTALL)
    if literal is None and re.search(r"\w", part.replace("_", "")):
        if missing != "null":
            raise MissingColumn(part)
        return [None] * table.num_rows
    return [literal[1] if literal else part] * table.num_rows


def pick_entry(cell: Any, entry: dict[str, str]) -> Any:
    if isinstance(cell, str):
        cell = json.loads(cell)
    name, value = entry.get("name", "name"), entry.get("value", "value")
    for item in cell or []:
        if item is not None and item.get(name) == entry["equals"]:
            return item.get(value)
    return None


def pick_json(cell: str | None, path: str) -> Any:
    if cell is None:
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        return Unparsed()
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    return str(value)


def text(value: Any, column: Column) -> str | None:
    shown = as_text(value)
    return shown.lower() if shown is not None and column.fold_case else shown


def identity(value: Any, column: Column) -> str | None:
    """An id's own text. A UUID has one, however it is written."""
    if value is None:
        return None
    if column.kind == "uuid" or (column.kind is None and isinstance(value, bytes)):
        return uuid_text(value)
    return text(value, column)


def uuid_text(value: str | bytes) -> str:
    digits = value.hex() if isinstance(value, bytes) else re.sub(r"[{}-]", "", value).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise ValueError(f"not a UUID: {value!r}")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def several(value: Any, column: Column) -> list[str]:
    """The values of a list or delimited cell; nulls and blanks are none."""
    if value is None:
        return []
    if isinstance(value, list):
        parts = [as_text(v) for v in value]
    elif column.encoding == "list":
        parts = [as_text(v) for v in json.loads(value)]
    elif column.encoding == "space":
        parts = [p for p in value.split(" ") if p]
    elif column.encoding == "comma":
        parts = [p for p in (p.strip(" ") for p in value.split(",")) if p]
    else:
        parts = [as_text(value)]
    found = [p for p in parts if p is not None]
    return [p.lower() for p in found] if column.fold_case else found


def is_several(column: Column, kind: pa.DataType | None) -> bool:
    """Whether one cell may hold several values (docs/counting.md, rule 4)."""
    if column.encoding is not None:
        return column.encoding != "single"
    return kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind))
