"""Values by role to Arrow arrays, in the many types that writers choose."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pyarrow as pa

from lakes.choices import Choices
from lakes.events import ID_ROLES, Row
from lakes.policy import fraction, local, rfc3339
from lakes.shape import Shape, Time
from mapping.moments import DAY_NS, EPOCH, SECOND_NS, from_wall, whole_seconds

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
            pa.uint64()]
LARGEST = 2**63 - 1
ZONES = ["UTC", "UTC", "+00:00", "Europe/Berlin", "America/New_York", "+05:30"]
GARBAGE = ["", "never", "2019-02-30T00:00:00Z", "2019-13-01T00:00:00Z", "1555000000", "-"]


def integer_types(values: list[int | None], least: list[pa.DataType]) -> list[pa.DataType]:
    known = [v for v in values if v is not None]
    low, high = min(known, default=0), max(known, default=0)

    def fits(kind: pa.DataType) -> bool:
        bits = kind.bit_width
        if pa.types.is_unsigned_integer(kind):
            return low >= 0 and high < 2**bits
        return -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)

    return [kind for kind in least if fits(kind)]


def integers(c: Choices, values: list[int | None], types: list[pa.DataType]) -> pa.Array:
    return pa.array(values, c.one(integer_types(values, types)))


def texts(c: Choices, values: list[str | None]) -> pa.Array:
    kind = c.one(["string", "string", "large", "dictionary", "dictionary"])
    if kind == "large":
        return pa.array(values, pa.large_string())
    array = pa.array(values, pa.string())
    return array.dictionary_encode() if kind == "dictionary" else array


def uuids(c: Choices, values: list[str | None]) -> pa.Array:
    if c.chance(0.4):
        return pa.array([None if v is None else uuid.UUID(v).bytes for v in values], pa.binary(16))
    spelled = [None if v is None else c.one([v, v.upper()]) for v in values]
    return texts(c, spelled)


def identities(c: Choices, shape: Shape, role: str, values: list[Any]) -> pa.Array:
    kind = shape.kinds[role]
    if kind == "uuid":
        return uuids(c, values)
    if kind == "text":
        return texts(c, values)
    # No Arrow integer holds both a negative number and one above 2^63 - 1.
    if any(v is not None and v > LARGEST for v in values):
        values = [None if v is not None and v < 0 else v for v in values]
    return integers(c, values, INTEGERS)


def several(c: Choices, encoding: str, values: list[list[str] | None]) -> pa.Array:
    if encoding == "list":
        with_nulls = [
            v if v is None or not c.chance(0.05) else [*v, None] for v in values
        ]
        item = c.one([pa.string(), pa.string(), pa.large_string()])
        kind = pa.large_list(item) if c.chance(0.1) else pa.list_(item)
        return pa.array(with_nulls, kind)
    joined: list[str | None] = []
    for v in values:
        if v is None or (not v and c.chance(0.5)):
            joined.append(None)
        elif encoding == "space":
            joined.append(c.one([" ", " ", "  "]).join(v) + c.one(["", "", " "]))
        else:
            joined.append(c.one([",", ", ", " , ", ",,"]).join(v))
    return texts(c, joined)


def times(c: Choices, time: Time, rows: list[Row]) -> pa.Array:
    if time.style in ("zoned", "wall", "epoch"):
        counts = [wall_count(c, time, row) if time.style == "wall" else
                  None if row.time is None else row.time // time.step for row in rows]
        # Moments, and more so clocks east of Greenwich, may lie past what 64 bits hold.
        counts = [None if n is None else max(-LARGEST, min(n, LARGEST)) for n in counts]
        if time.style == "zoned":
            return pa.array(counts, pa.timestamp(time.unit, c.one(ZONES)))
        if time.style == "wall":
            return pa.array(counts, pa.timestamp(time.unit))
        # 32 bits hold seconds, and nothing finer of our years.
        return integers(c, counts, [pa.int64(), pa.int32()] if time.unit == "s" else [pa.int64()])
    return texts(c, [time_text(c, time, row) for row in rows])


def wall_count(c: Choices, time: Time, row: Row) -> int | None:
    assert time.zone is not None
    if row.time is None:
        return lost_wall_count(c, time) if row.unreadable_time else None
    wall, nanos = local(row.time, time.zone)
    return (whole_seconds(wall) * SECOND_NS + nanos) // time.step


def lost_wall_count(c: Choices, time: Time) -> int | None:
    """A count that clocks in the zone show twice or never, if the zone changes its clocks."""
    assert time.zone is not None
    first = 17_955 * DAY_NS  # 2019-02-28
    for n in range(0, 300 * 24):
        wall = EPOCH + timedelta(seconds=first // SECOND_NS + n * 3600 + 900)
        if from_wall(wall, 0, time.zone) is None:
            found = [wall + timedelta(minutes=m) for m in (0, 10)]
            return whole_seconds(c.one(found)) * SECOND_NS // time.step
    return None


def time_text(c: Choices, time: Time, row: Row) -> str | None:
    if row.time is None:
        return c.one(GARBAGE) if row.unreadable_time else None
    needed = {"s": 0, "ms": 3, "us": 6, "ns": 9}[time.unit]
    digits = c.one([None, needed, needed, 9])
    if time.style == "rfc3339":
        text = rfc3339(c, row.time, digits)
        return text.replace("T", "t").replace("Z", "z") if c.chance(0.05) else text
    if time.style == "rfc3339_wall":
        assert time.zone is not None
        wall, nanos = local(row.time, time.zone)
        return f"{wall:%Y-%m-%dT%H:%M:%S}{fraction(nanos, digits)}"
    if time.zone is not None:
        return f"{local(row.time, time.zone)[0]:{time.style}}"
    wall = local(row.time, "+02:00")[0]
    return f"{wall:{time.style}}".rstrip() + " +0200" if "%z" in time.style else ""


def column(c: Choices, shape: Shape, role: str, rows: list[Row]) -> dict[str, pa.Array]:
    """The columns of a role by path; more than one where the configuration joins them."""
    values = [row.values.get(role) for row in rows]
    path, layout = shape.paths[role], shape.layouts[role]
    if role == "time":
        if layout in ("nested", "dotted", "plain"):
            return {path: times(c, shape.time, rows)}
    if role == "scopes" and layout == "json":
        return {path: texts(c, [json_scopes(c, shape.scopes, row) for row in rows])}
    if role == "scopes":
        if shape.scopes != "single":
            return {path: several(c, shape.scopes, values)}
        single = [None if not v else v[0] for v in values]
        if layout == "concat":
            cuts = [None if s is None else c.between(0, len(s)) for s in single]
            return {
                f"{path}_1": texts(c, [None if s is None else s[:n] for s, n in zip(single, cuts)]),
                f"{path}_2": texts(c, [None if s is None else s[n:] for s, n in zip(single, cuts)]),
            }
        return {path: texts(c, single)}
    if role == "fields":
        return {path: several(c, "list", values)}
    if layout == "json":
        return {path: texts(c, [json_text(c, v) for v in values])}
    if layout == "entry":
        return {path: entries(c, values)}
    if role == "app" and shape.integer_apps:
        numbers = [None if v is None else int(v) for v in values]
        return {path: integers(c, numbers, INTEGERS)}
    if role in ID_ROLES:
        return {path: identities(c, shape, role, values)}
    if role == "status" and shape.status == "code":
        return {path: integers(c, values, INTEGERS[1:4])}
    if role in ("weight", "bytes", "records"):
        return {path: integers(c, values, INTEGERS[2:])}
    return {path: texts(c, values)}


def json_scopes(c: Choices, encoding: str, row: Row) -> str | None:
    if row.unreadable_scopes:
        return c.one(["{", "no JSON", '{"a":{"b":"a"', ""])
    scopes = row.values.get("scopes")
    return json_text(c, scopes if encoding == "list" or not scopes else scopes[0])


def json_text(c: Choices, value: Any) -> str | None:
    if value is None or value == []:
        return c.one([None, "{}", '{"a":{}}', '{"a":{"b":null}}'])
    return json.dumps({"z": 1, "a": {"b": value, "c": "no"}}, ensure_ascii=c.chance(0.5))


def entries(c: Choices, values: list[str | None]) -> pa.Array:
    kind = pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))
    other = {"name": "other", "value": "no"}
    return pa.array(
        [
            c.one([None, [], [other]]) if v is None
            else c.shuffled([{"name": "wanted", "value": v}, other])
            for v in values
        ],
        kind,
    )


def assemble(c: Choices, flat: dict[str, pa.Array], nested: set[str], count: int) -> pa.Table:
    """A table with its columns in any order; paths in `nested` become structs."""
    plain: dict[str, Any] = {p: a for p, a in flat.items() if p not in nested}
    tree: dict[str, Any] = {}
    for path in sorted(nested & flat.keys()):
        node, *steps = path.split(".")
        here = tree.setdefault(node, {})
        for step in steps[:-1]:
            here = here.setdefault(step, {})
        here[steps[-1]] = flat[path]
    plain.update({name: struct(c, node) for name, node in tree.items()})
    if c.chance(0.2):
        plain["unmapped"] = pa.array(range(count), pa.int64())
    names = c.shuffled(sorted(plain))
    return pa.table([plain[n] for n in names], names=names)


def struct(c: Choices, node: dict[str, Any]) -> pa.Array:
    children = {n: struct(c, v) if isinstance(v, dict) else v for n, v in node.items()}
    # A struct may be null where all that it holds is.
    empty = [all(not a[i].is_valid for a in children.values())
             for i in range(len(next(iter(children.values()))))]
    mask = pa.array([e and c.chance(0.5) for e in empty], pa.bool_())
    return pa.StructArray.from_arrays(list(children.values()), names=list(children), mask=mask)
