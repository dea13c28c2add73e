"""What change_log must say: every value that differs between two reports, and no cause that was not there.

The tables are the oracle's own; nothing is taken from the program but the log that is looked at.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract import TableContract

LOG = "change_log"
# They speak of one pair of reports.
ABOUT_CHANGES = {("coverage", "files_late"), ("coverage", "files_changed"),
                 ("deletion_verification", "rows_late")}
SHOWN = 5

Key = tuple[tuple[str, str | None], ...]
Ends = tuple[str | None, str | None]


def differences(contracts: list[TableContract], old: dict[str, pa.Table], new: dict[str, pa.Table],
                log: Path, causes: set[str]) -> list[str]:
    """Lines that say what is wrong with the log; none if nothing is."""
    told: dict[tuple[str, Key, str], list[dict[str, Any]]] = {}
    lines: list[str] = []
    for row in pq.ParquetFile(log).read().to_pylist():
        told.setdefault((row["table"], read_key(row["key"]), row["column"]), []).append(row)
        foreign = set(re.split(" or | and ", row["reason"])) - causes
        if foreign:
            lines.append(f"{LOG}: {row} names {sorted(foreign)}, and there was only {sorted(causes)}")
    for place, (before, after) in expected(contracts, old, new).items():
        rows = told.pop(place, None)
        if rows is None:
            lines.append(f"{LOG}: nothing is said of {place}: {before!r} became {after!r}")
            continue
        steps = [row["step"] for row in rows] == list(range(1, len(rows) + 1))
        meet = all(a["new"] == b["old"] for a, b in zip(rows, rows[1:]))
        if not steps or not meet or (rows[0]["old"], rows[-1]["new"]) != (before, after):
            lines.append(f"{LOG}: {place}: {before!r} became {after!r}, and it says {rows}")
    lines += [f"{LOG}: {place} did not change: {rows}" for place, rows in told.items()]
    return lines[:SHOWN]


def expected(contracts: list[TableContract], old: dict[str, pa.Table], new: dict[str, pa.Table]
             ) -> dict[tuple[str, Key, str], Ends]:
    found: dict[tuple[str, Key, str], Ends] = {}
    for contract in contracts:
        # What tables of names and days say is no figure.
        if contract.name == LOG or contract.name.startswith("dim_"):
            continue
        before, after = by_key(contract, old), by_key(contract, new)
        for key in before.keys() | after.keys():
            was, now = before.get(key), after.get(key)
            if was is None or now is None:
                ends = (None, "there") if was is None else ("there", None)
                found[contract.name, key, "(row)"] = ends
                continue
            for column in was:
                if was[column] != now[column] and (contract.name, column) not in ABOUT_CHANGES:
                    found[contract.name, key, column] = (text(was[column]), text(now[column]))
    return found


def by_key(contract: TableContract, tables: dict[str, pa.Table]) -> dict[Key, dict[str, Any]]:
    rows = tables[contract.name].to_pylist()
    return {tuple((k, text(row[k])) for k in contract.key): row for row in rows}


def text(value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case dt.datetime():
            digits = "seconds" if value.microsecond == 0 else (
                "milliseconds" if value.microsecond % 1000 == 0 else "microseconds")
            return value.isoformat(timespec=digits).replace("+00:00", "Z")
        case dt.date():
            return value.isoformat()
        case _:
            return str(value)


def read_key(key: str | None) -> Key:
    """`column=value` parted by blanks; a value is a JSON text, or holds no blank."""
    parts: list[tuple[str, str | None]] = []
    rest = key or ""
    while rest:
        name, _, rest = rest.partition("=")
        if rest.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:].lstrip(" ")
        else:
            value, _, rest = rest.partition(" ")
            value = None if value == "null" else value
        parts.append((name, value))
    return tuple(parts)
