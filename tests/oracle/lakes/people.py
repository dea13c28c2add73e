"""What the registry of a lake knows of people: members, residences, thresholds, an incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakes import arrays, names
from lakes.choices import Choices
from lakes.events import Row, maybe_upper
from lakes.policy import Policy, draw_moment, rfc3339
from lakes.shape import Shape

PLACES = [("DE", None), ("DE", "BE"), ("US", "CA"), ("US", "US-CA"), ("US", "ME"), ("US", None),
          ("(all)", None), (None, None), ("", "x"), ("=X", "=Y")]
JURISDICTIONS = ["all", "DE", "US-CA", "US-CA;US-ME", "DE;US", "FR", "US", "DE-BE; US-ME"]
UNITS = ["hours", "calendar_days", "business_days"]
CLOCKS = ["aware", "discovered", "materiality", "notified"]


@dataclass
class People:
    """Each None where the lake has no such file. Moments are ns, whole microseconds where a file of
    the lake holds them."""

    source: int
    # group, subject, from, to
    memberships: list[tuple[Any, Any, int | None, int | None]] | None = None
    # subject, country, subdivision, category, as_of
    residency: list[tuple[Any, str | None, str | None, str | None, int | None]] | None = None
    # regime, jurisdiction, operator, number, clock, limit, unit, source
    thresholds: list[tuple[str, ...]] | None = None
    incident: dict[str, int] = field(default_factory=dict)
    # By regime.
    reported: dict[str, int] = field(default_factory=dict)


def draw(c: Choices, policy: Policy, shapes: list[Shape], rows: list[list[Row]]) -> People:
    named = [n for n, s in enumerate(shapes) if {"subject", "actor"} & set(s.roles)]
    people = People(c.one(named) if named else 0)
    shape = shapes[people.source]
    role = person_role(shape)
    groups = [n for n in named if "group" in shapes[n].roles]
    if groups and c.has("memberships", 0.6):
        people.source = c.one(groups)
        shape = shapes[people.source]
        role = person_role(shape)
        subjects, own = ids(c, shapes, rows, people.source, role), ids(
            c, shapes, rows, people.source, "group")
        people.memberships = []
        for _ in range(c.one([0, 3, 20, 60])):
            begin, end = sorted((moment(c, policy), moment(c, policy)))
            people.memberships.append((
                maybe_upper(c, c.one(own), "group" in shape.folded),
                maybe_upper(c, c.one(subjects), role in shape.folded),
                None if c.chance(0.5) else begin, None if c.chance(0.5) else end,
            ))
    if named and c.has("residency", 0.5):
        subjects = ids(c, shapes, rows, people.source, role)
        people.residency = [
            (maybe_upper(c, c.one(subjects), role in shape.folded), *c.one(PLACES),
             c.one([None, "adult", "child", ""]),
             None if c.chance(0.4) else moment(c, policy))
            for _ in range(c.one([0, 5, 30]))
        ]
    if c.has("thresholds", 0.5):
        drawn: dict[tuple[str, str], tuple[str, ...]] = {}
        for _ in range(c.between(0, 6)):
            regime, place = c.one(["gdpr", "(all)", "=r", "ftc", "x,y"]), c.one(JURISDICTIONS)
            number = (c.one([">=", ">"]), str(c.between(0, 6))) if c.chance(0.8) else ("", "")
            limit = (c.one(CLOCKS), str(c.between(0, 40)), c.one(UNITS))
            if c.chance(0.3):
                limit = (c.one([*CLOCKS, ""]), "", "")
            drawn[regime, place] = (regime, place, *number, *limit, c.one(["", "somewhere"]))
        people.thresholds = list(drawn.values())
    people.incident = {clock: draw_moment(c, policy.base, policy.zone, -3, 12)
                       for clock in c.some(CLOCKS, 0, 4)}
    people.reported = {row[0]: draw_moment(c, policy.base, policy.zone, -3, 12)
                       for row in people.thresholds or () if c.chance(0.3)}
    return people


def person_role(shape: Shape) -> str:
    return "subject" if "subject" in shape.roles else "actor"


def moment(c: Choices, policy: Policy) -> int:
    """Often one of the log's own cut points, and always whole microseconds."""
    if c.chance(0.4):
        return c.one(policy.cuts) // 1000 * 1000
    return draw_moment(c, policy.base, policy.zone, -3, 8) // 1000 * 1000


def ids(c: Choices, shapes: list[Shape], rows: list[list[Row]], source: int, role: str
        ) -> list[Any]:
    """Ids that occur in the log, and some that do not."""
    kind = shapes[source].kinds[role]
    seen = [row.values.get(role) for row in rows[source]]
    known = list(dict.fromkeys(v for v in seen if v is not None))
    strangers: list[Any] = {"int": [5, 77, 123], "text": ["stranger", "u99"],
                            "uuid": names.UUIDS}[kind]
    return [*known, *known, *c.some(strangers, 1, 2)]


def write(c: Choices, people: People, shapes: list[Shape], folder: Path) -> None:
    shape = shapes[people.source]
    role = person_role(shape)
    if people.memberships is not None:
        columns = list(zip(*people.memberships)) or [()] * 4
        table = pa.table({
            "group_id": identities(c, shape, "group", list(columns[0])),
            "subject": identities(c, shape, role, list(columns[1])),
            "from": moments(c, list(columns[2])),
            "to": moments(c, list(columns[3])),
        })
        write_parts(c, table, folder, "memberships")
    if people.residency is not None:
        columns = list(zip(*people.residency)) or [()] * 5
        table = pa.table({
            "subject": identities(c, shape, role, list(columns[0])),
            "country": pa.array(columns[1], pa.string()),
            "subdivision": pa.array(columns[2], pa.string()),
            "category": pa.array(columns[3], pa.string()),
            "as_of": moments(c, list(columns[4])),
        })
        write_parts(c, table, folder, "residency")


def identities(c: Choices, shape: Shape, role: str, values: list[Any]) -> pa.Array:
    # No Arrow integer holds both a negative number and one above 2^63 - 1.
    wide = shape.kinds[role] == "int" and any(v > arrays.LARGEST for v in values)
    if wide or (shape.kinds[role] == "int" and c.chance(0.2)):
        return pa.array([str(v) for v in values], pa.string())
    return arrays.identities(c, shape, role, values)


def moments(c: Choices, values: list[int | None]) -> pa.Array:
    style = c.one(["us", "us", "ns", "text"])
    if style == "text":
        return pa.array([None if v is None else rfc3339(c, v) for v in values], pa.string())
    step = {"us": 1000, "ns": 1}[style]
    whole = [None if v is None else v // step for v in values]
    return pa.array(whole, pa.timestamp(style, "UTC"))


def write_parts(c: Choices, table: pa.Table, folder: Path, name: str) -> None:
    """One file; its rows in groups of a few now and then."""
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=c.one([1_000_000, 4]))
