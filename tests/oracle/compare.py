"""Compares the tables of a run with the oracle's, to the last cell, type and place."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract import TableContract

SHOWN = 5


def differences(contract: TableContract, expected: pa.Table, found: Path,
                ignored: set[str] = frozenset()) -> list[str]:
    """Lines that say what differs, columns that are ignored apart; none if nothing does."""
    if not found.exists():
        return [f"{contract.name}: the run has no {found.name}"]
    table = pq.ParquetFile(found).read()
    wrong = shape_differences(contract, table.schema)
    if wrong:
        return wrong
    lines: list[str] = []
    for column in ignored:
        at = table.column_names.index(column)
        table = table.set_column(at, column, expected.column(column))
    theirs, ours = table.to_pylist(), expected.to_pylist()
    keys = [sort_key(row, contract.key) for row in theirs]
    if keys != sorted(keys):
        lines.append(f"{contract.name}: rows are not sorted by {', '.join(contract.key)}")
    if len(set(keys)) != len(keys):
        lines.append(f"{contract.name}: the key {', '.join(contract.key)} is not unique")
    if theirs == ours:
        return lines
    lines += by_key(contract, ours, theirs)
    if len(lines) == 0:
        lines.append(f"{contract.name}: the same rows in another order")
    return lines


def shape_differences(contract: TableContract, schema: pa.Schema) -> list[str]:
    lines = []
    for want, have in zip_longest(contract.columns, schema):
        wanted = None if want is None else (want.name, str(want.type))
        has = None if have is None else (have.name, str(plain_type(have.type)))
        if wanted != has:
            lines.append(f"{contract.name}: column {has} stands where the header has {wanted}")
    return lines


def plain_type(kind: pa.DataType) -> pa.DataType:
    """How a text is laid out in memory is no part of its type."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def sort_key(row: dict[str, Any], key: list[str]) -> tuple[Any, ...]:
    """Nulls first, texts by their bytes."""
    return tuple((0, b"") if row[k] is None else (1, ordered(row[k])) for k in key)


def ordered(value: Any) -> bytes:
    match value:
        case bool():
            return bytes([value])
        case str():
            return value.encode()
        case _:
            return value.isoformat().encode()



def by_key(contract: TableContract, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
           ) -> list[str]:
    expected = {sort_key(r, contract.key): r for r in ours}
    found = {sort_key(r, contract.key): r for r in theirs}
    lines: list[str] = []
    for key in sorted(expected.keys() | found.keys()):
        want, have = expected.get(key), found.get(key)
        if want == have:
            continue
        if len(lines) == SHOWN:
            lines.append("  …")
            break
        row = have if want is None else want
        assert row is not None
        name = ", ".join(f"{k}={row[k]!r}" for k in contract.key)
        if want is None or have is None:
            side = "program" if want is None else "oracle"
            lines.append(f"{contract.name}: only the {side} has the row {name}: {brief(row)}")
        else:
            cells = "; ".join(
                f"{c}: oracle {want[c]!r}, program {have[c]!r}" for c in want if want[c] != have[c]
            )
            lines.append(f"{contract.name}: {name}: {cells}")
    return lines


def brief(row: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in row.items() if v not in (None, 0))


def totals_differences(summary: pa.Table, totals: dict[str, Any]) -> list[str]:
    """The last line on stdout repeats figures of the `(all)` row."""
    row = next(r for r in summary.to_pylist() if r["grain"] == "all")
    wanted = {
        "requests_allowed": row["requests_allowed"],
        "subjects_observed": row["subjects_observed"],
        "groups": row["groups"],
        "apps": row["apps_used_after_restriction"],
    }
    return [] if totals == wanted else [f"totals: oracle {wanted}, program {totals}"]
