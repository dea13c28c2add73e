"""Tables of people: members, residences; and what the configuration says of an incident."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mapping.columns import identity
from mapping.moments import parse_setting
from mapping.settings import Settings

UNIT = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(frozen=True)
class People:
    person_space: str | None
    group_space: str | None
    # (group, subject, from, to); None where no file is given
    memberships: list[tuple[str, str, int | None, int | None]] | None
    # (subject, country, subdivision, category, as_of)
    residency: list[tuple[str, str | None, str | None, str | None, int | None]] | None


def load(settings: Settings) -> People:
    source = next((s for s in settings.sources if s.name == settings.people_of),
                  settings.sources[0])
    person = source.columns.get("subject") or source.columns.get("actor")
    group = source.columns.get("group")

    def table(role: str) -> pa.Table | None:
        name = settings.registry.get(role)
        if name is None:
            return None
        return pq.read_table(Path(settings.folder, name))

    members, residents = table("memberships"), table("residency")
    zone = settings.registry_zone
    memberships = residency = None
    if members is not None and person is not None and group is not None:
        memberships = list(zip(
            [identity(v, group) for v in members["group_id"].to_pylist()],
            [identity(v, person) for v in members["subject"].to_pylist()],
            moments(members["from"], zone), moments(members["to"], zone),
        ))
    elif members is not None:
        memberships = []
    if residents is not None and person is not None:
        empty = [None] * residents.num_rows

        def texts(name: str) -> list[str | None]:
            if name not in residents.column_names:
                return empty
            return [v or None for v in residents[name].to_pylist()]

        known = (moments(residents["as_of"], zone) if "as_of" in residents.column_names
                 else empty)
        residency = list(zip(
            [identity(v, person) for v in residents["subject"].to_pylist()],
            texts("country"), texts("subdivision"), texts("category"), known,
        ))
    elif residents is not None:
        residency = []
    return People(source.person_space, source.group_space, memberships, residency)


def moments(column: pa.ChunkedArray, zone: str) -> list[int | None]:
    if pa.types.is_timestamp(column.type):
        step = UNIT[column.type.unit]
        return [None if v is None else v * step for v in column.cast(pa.int64()).to_pylist()]
    return [None if v is None else parse_setting(v, zone) for v in column.to_pylist()]
