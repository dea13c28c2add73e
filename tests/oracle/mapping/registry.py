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
    # (scope, restricted_at, data fields, special ones of them; None where there is no such column)
    scopes: list[tuple[str, int, list[str], list[str] | None]]
    # (app, name, developer, developer's name)
    apps: list[tuple[str, str | None, str | None, str | None]]
    # (app, scope, end of grace)
    extensions: list[tuple[str, str, int]]
    endpoints: list[Endpoint] | None
    # (app, scope, granted_at, revoked_at, as_of); None where no file is given
    grants: list[tuple[str, str, int | None, int | None, int | None]] | None
    # (scope, app, from, to)
    brownouts: list[tuple[str, str | None, int, int]] | None
    # (app, scope or None for all, asked_at, attested_at, statement)
    attestations: list[tuple[str, str | None, int | None, int | None, str | None]] | None
    # (regime, jurisdiction, operator, number, clock, limit, unit, source)
    thresholds: list[tuple[str | int | None, ...]]


def load(settings: Settings) -> Registry:
    zone = settings.registry_zone

    def rows(role: str) -> list[dict[str, str]]:
        name = settings.registry.get(role)
        if name is None:
            return []
        with open(Path(settings.folder, name), encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def moment(text: str | None) -> int | None:
        return parse_setting(text, zone) if text else None

    def parts(text: str | None) -> tuple[str, ...]:
        return tuple(f.strip() for f in (text or "").split(";") if f.strip())

    def number(text: str | None) -> int | None:
        return int(text) if text else None

    # Two rows that say the same are one.
    return Registry(
        scopes=[
            (scope, at, list(fields), None if special is None else list(special))
            for scope, at, fields, special in dict.fromkeys(
                (
                    r["scope"],
                    parse_setting(r["deprecated_at"], zone),
                    parts(r.get("data_fields")),
                    parts(r["special_fields"]) if "special_fields" in r else None,
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
        grants=(
            list(dict.fromkeys(
                (r["app_id"], r["scope"], moment(r.get("granted_at")),
                 moment(r.get("revoked_at")), moment(r.get("as_of")))
                for r in rows("grants")
            ))
            if "grants" in settings.registry
            else None
        ),
        brownouts=(
            list(dict.fromkeys(
                (r["scope"], r.get("app_id") or None, parse_setting(r["from"], zone),
                 parse_setting(r["to"], zone))
                for r in rows("brownouts")
            ))
            if "brownouts" in settings.registry
            else None
        ),
        attestations=(
            list(dict.fromkeys(
                (r["app_id"], None if r.get("scope") in (None, "", "all") else r["scope"],
                 moment(r["asked_at"]), moment(r["attested_at"]), r.get("statement") or None)
                for r in rows("attestations")
            ))
            if "attestations" in settings.registry
            else None
        ),
        thresholds=list(dict.fromkeys(
            (r["regime"], r["jurisdiction"], r.get("operator") or None, number(r.get("number")),
             r.get("clock") or None, number(r.get("limit")), r.get("unit") or None,
             r.get("source") or None)
            for r in rows("thresholds")
        )),
    )
