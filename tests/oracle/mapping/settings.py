"""The configuration, read as far as counting needs it."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mapping.moments import DAY_NS, duration_ns, parse_setting

# What the program takes when a key is left out.
DEFAULT_ALLOWED: list[int | str] = ["200-299"]
DEFAULT_GROUPS = 10_000
DEFAULT_LOOKBACK_DAYS = 60

ROLES = (
    "time", "app", "scopes", "subject", "actor", "group", "status", "bytes", "records", "fields",
    "weight", "event_id", "endpoint", "method",
)


def whole_days(text: str) -> int:
    """A length of time in days; the lakes of the tester know no other slack."""
    count = {"d": 1, "h": 24, "s": 86_400}[text[-1]]
    return int(text[:-1]) // count


@dataclass(frozen=True)
class Column:
    """Where a role's values stand in a log and how they are read."""

    path: str | None = None
    concat: tuple[str, ...] = ()
    entry: dict[str, str] | None = None
    json: str | None = None
    encoding: str | None = None
    format: str | None = None
    zone: str | None = None
    kind: str | None = None
    fold_case: bool = False
    missing: str = "error"


@dataclass(frozen=True)
class Expected:
    first: date
    until_ns: int | None
    grace_ns: int


@dataclass(frozen=True)
class Source:
    name: str
    url: str
    columns: dict[str, Column]
    scopes_mean: str | None
    allowed: list[int | str]
    null_allowed: bool
    partition_column: str | None
    partition_slack_days: int
    expected: Expected | None
    person_space: str
    group_space: str
    event_space: str


@dataclass(frozen=True)
class Settings:
    folder: Path
    sources: list[Source]
    registry: dict[str, str]
    registry_zone: str
    lookback_days: int
    max_rejected_rows: int
    groups_limit: int | None
    # The source whose ids the tables of people hold; None for the first.
    people_of: str | None
    # aware, discovered, materiality, notified, and `reported R` for regime R: ns.
    incident: dict[str, int]


def load(path: Path) -> Settings:
    """Reads `afterscope.toml`; relative paths are relative to it."""
    document = expand(tomllib.loads(path.read_text(encoding="utf-8")))
    registry = document["registry"]
    report = document.get("report", {})
    groups = report.get("groups", DEFAULT_GROUPS)
    return Settings(
        folder=path.parent,
        sources=[source(s) for s in document.get("source", [])],
        registry={k: v for k, v in registry.items()
                  if isinstance(v, str) and k not in ("zone", "people_of")},
        registry_zone=registry.get("zone", "UTC"),
        lookback_days=report.get("lookback_days", DEFAULT_LOOKBACK_DAYS),
        max_rejected_rows=report.get("max_rejected_rows", 0),
        groups_limit=None if groups == "all" else int(groups),
        people_of=registry.get("people_of"),
        incident=incident(document.get("incident", {}), registry.get("zone", "UTC")),
    )


def incident(table: dict[str, Any], zone: str) -> dict[str, int]:
    reported = {f"reported {regime}": at for regime, at in table.get("reported", {}).items()}
    events = {clock: at for clock, at in table.items() if clock != "reported"}
    return {clock: parse_setting(at, zone) for clock, at in {**events, **reported}.items()}


def expand(value: Any) -> Any:
    """`${NAME}` in any text is the environment variable NAME."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda m: os.environ[m.group(1)], value)
    if isinstance(value, list):
        return [expand(v) for v in value]
    if isinstance(value, dict):
        return {k: expand(v) for k, v in value.items()}
    return value


def source(table: dict[str, Any]) -> Source:
    status = table.get("status") or {}
    spaces = table.get("namespaces") or {}
    expected = table.get("expected")
    name = table["name"]
    return Source(
        name=name,
        url=table["url"],
        columns={r: column(table["columns"][r]) for r in ROLES if r in table["columns"]},
        scopes_mean=table.get("scopes_mean"),
        allowed=status.get("allowed", DEFAULT_ALLOWED),
        null_allowed=status.get("null") == "allowed",
        partition_column=(table.get("partition_time") or {}).get("column"),
        partition_slack_days=whole_days((table.get("partition_time") or {}).get("slack", "0d")),
        expected=expected_periods(expected) if expected else None,
        person_space=spaces.get("person", name),
        group_space=spaces.get("group", name),
        event_space=spaces.get("event", name),
    )


def column(value: str | dict[str, Any]) -> Column:
    if isinstance(value, str):
        return Column(path=value)
    table = dict(value)
    table["concat"] = tuple(table.get("concat", ()))
    return Column(**table)


def expected_periods(table: dict[str, str]) -> Expected:
    if table["every"] != "1d":
        raise ValueError(f"expected.every is {table['every']}, only 1d is defined")
    until = table.get("until")
    return Expected(
        first=date.fromordinal(
            date(1970, 1, 1).toordinal() + parse_setting(table["from"], "UTC") // DAY_NS
        ),
        until_ns=None if until is None else parse_setting(until, "UTC"),
        grace_ns=duration_ns(table.get("grace", "0s")),
    )
