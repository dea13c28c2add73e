"""The registry's CSV files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from mapping.endpoints import Endpoint
from mapping.moments import parse_setting
from mapping.settings import Settings


@dataclass(frozen=True)
class Registry:
    # (scope, restricted_at, data fields)
    scopes: list[tuple[str, int, list[str]]]
    # (app, name, developer, developer's name)
    apps: list[tuple[str, str | None, str | None, str | None]]
    # (app, scope, end of grace)
    extensions: list[tuple[str, str, int]]
    endpoints: list[Endpoint] | None


def load(settings: Settings) -> Registry:
    zone = settings.registry_zone

    def rows(role: str) -> list[dict[str, str]]:
        name = settings.registry.get(role)
        if name is None:
            return []
        with open(Path(settings.folder, name), encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    # Two rows that say the same are one.
    return Registry(
        scopes=[
            (scope, at, list(fields))
            for scope, at, fields in dict.fromkeys(
                (
                    r["scope"],
                    parse_setting(r["deprecated_at"], zone),
                    tuple(f.strip() for f in (r.get("data_fields") or "").split(";") if f.strip()),
                )
                for r in rows("scopes")
            )
        ],
        apps=list(
            dict.fromkeys(
                (
                    r["app_id"],
                    r.get("app_name") or None,
                    r.get("developer_id") or None,
                    r.get("developer_name") or None,
                )
                for r in rows("apps")
            )
        ),
        extensions=list(
            dict.fromkeys(
                (r["app_id"], r["scope"], parse_setting(r["grace_until"], zone))
                for r in rows("extensions")
            )
        ),
        endpoints=(
            [Endpoint.read(r.get("method"), r["path"], r["scope"]) for r in rows("endpoints")]
            if "endpoints" in settings.registry
            else None
        ),
    )
