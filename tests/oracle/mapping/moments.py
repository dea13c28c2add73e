"""Moments: every spelling to whole nanoseconds since 1970-01-01T00:00:00Z (docs/counting.md, 1)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
UNIT_NS = {"s": SECOND_NS, "ms": 1_000_000, "us": 1_000, "ns": 1}
EPOCH = datetime(1970, 1, 1)

RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?"
)
DURATION = re.compile(r"(\d+)\s*(d|h|m|s)")
DURATION_NS = {"d": DAY_NS, "h": 3600 * SECOND_NS, "m": 60 * SECOND_NS, "s": SECOND_NS}


def duration_ns(text: str) -> int:
    match = DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"not a duration: {text}")
    return int(match[1]) * DURATION_NS[match[2]]


@lru_cache(maxsize=None)
def zone_named(name: str) -> tzinfo:
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", name)
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    return ZoneInfo(name)


def whole_seconds(wall: datetime) -> int:
    return (wall - EPOCH) // timedelta(seconds=1)


def from_wall(wall: datetime, nanos: int, zone: str) -> int | None:
    """The moment at which clocks in `zone` show `wall`; None if they never do, or do twice."""
    tz = zone_named(zone)
    early = wall.replace(tzinfo=tz, fold=0).utcoffset()
    late = wall.replace(tzinfo=tz, fold=1).utcoffset()
    if early is None or early != late:
        return None
    return whole_seconds(wall - early) * SECOND_NS + nanos


def parse_rfc3339(text: str, zone: str | None) -> int | None:
    """RFC 3339; without an offset only where the configuration declares a zone."""
    match = RFC3339.fullmatch(text)
    if not match:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        wall = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    nanos = int((match[7] or "").ljust(9, "0"))
    offset = match[8]
    if offset is None:
        return None if zone is None else from_wall(wall, nanos, zone)
    return from_wall(wall, nanos, "UTC" if offset in "Zz" else offset)


def parse_setting(text: str, zone: str) -> int:
    """A moment of the registry, the configuration or the command line. A date is its midnight."""
    full = f"{text}T00:00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text
    moment = parse_rfc3339(full, zone)
    if moment is None:
        raise ValueError(f"not a moment: {text}")
    return moment


def parse_pattern(text: str, pattern: str, zone: str | None) -> int | None:
    try:
        parsed = datetime.strptime(text, pattern)
    except ValueError:
        return None
    nanos = parsed.microsecond * 1_000
    wall = parsed.replace(microsecond=0)
    offset = wall.utcoffset()
    if offset is not None:
        return whole_seconds(wall.replace(tzinfo=None) - offset) * SECOND_NS + nanos
    return None if zone is None else from_wall(wall, nanos, zone)


def from_arrow(values: pa.Array | pa.ChunkedArray, format_: str | None, zone: str | None
               ) -> list[int | None]:
    """A time column; None where a value is null or unreadable."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        factor = UNIT_NS[kind.unit]
        counts = values.cast(pa.int64()).to_pylist()
        if kind.tz is not None:
            return [None if c is None else c * factor for c in counts]
        if zone is None:
            raise ValueError("a time without a zone needs a declared one")
        return [None if c is None else from_local_count(c * factor, zone) for c in counts]
    if pa.types.is_integer(kind):
        factor = UNIT_NS[(format_ or "").removeprefix("epoch_")]
        return [None if c is None else c * factor for c in values.to_pylist()]
    texts = values.to_pylist()
    if format_ in (None, "rfc3339"):
        return [None if t is None else parse_rfc3339(t, zone) for t in texts]
    return [None if t is None else parse_pattern(t, format_, zone) for t in texts]


def from_local_count(count_ns: int, zone: str) -> int | None:
    seconds, nanos = divmod(count_ns, SECOND_NS)
    return from_wall(EPOCH + timedelta(seconds=seconds), nanos, zone)
