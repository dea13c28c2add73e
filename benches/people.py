#!/usr/bin/env python3
"""Memberships and residences for a lake of the generator: whom its users and groups could be.

    people.py LAKE [--memberships 200000000] [--residencies 50000000]

Writes LAKE/memberships/*.parquet and LAKE/residency/*.parquet. Members are drawn evenly from all users,
groups as the log draws them; three memberships in ten have a beginning, two in ten an end.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 10_000_000
USERS = 50_000_000
GROUPS = 2_000_000
# The generator's ids of users.
FACTOR, OFFSET = 7919, 1_000_000_007
BEGIN, END = 1_420_070_400_000_000, 1_573_000_000_000_000
COUNTRIES = ["US", "DE", "IN", "BR", "ID", "MX", "PH", "GB", "FR", "IT"]
STATES = ["CA", "TX", "FL", "ME", "NY"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--memberships", type=int, default=200_000_000)
    parser.add_argument("--residencies", type=int, default=50_000_000)
    args = parser.parse_args()
    rng = np.random.default_rng(7)
    for part, rows in chunks(args.memberships):
        write(args.lake / "memberships" / f"part-{part:03}.parquet", pa.table({
            "group_id": (rng.random(rows) * GROUPS).astype(np.int64) * 104_729 + 17,
            "subject": (rng.random(rows) * USERS).astype(np.int64) * FACTOR + OFFSET,
            "from": moments(rng, rows, 0.3),
            "to": moments(rng, rows, 0.2, later=True),
        }))
    for part, rows in chunks(args.residencies):
        first = part * CHUNK
        country = rng.integers(0, len(COUNTRIES), rows)
        state = rng.integers(0, len(STATES), rows)
        write(args.lake / "residency" / f"part-{part:03}.parquet", pa.table({
            "subject": np.arange(first, first + rows, dtype=np.int64) * FACTOR + OFFSET,
            "country": pa.array(np.array(COUNTRIES)[country]),
            "subdivision": pa.array(np.array(STATES)[state], mask=country != 0),
            "as_of": pa.array(rng.integers(BEGIN, END, rows), pa.timestamp("us", "UTC")),
        }))


def chunks(rows: int):
    for part in range(-(-rows // CHUNK)):
        yield part, min(CHUNK, rows - part * CHUNK)


def moments(rng, rows: int, share: float, later: bool = False) -> pa.Array:
    middle = (BEGIN + END) // 2
    low, high = (middle, END) if later else (BEGIN, middle)
    return pa.array(rng.integers(low, high, rows), pa.timestamp("us", "UTC"),
                    mask=rng.random(rows) >= share)


def write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=1 << 20)


if __name__ == "__main__":
    main()
