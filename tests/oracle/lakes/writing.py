"""Log files, registry files and the configuration."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakes import arrays
from lakes.choices import Choices
from lakes.events import Row
from lakes.people import People
from lakes.policy import Policy, spelled
from lakes.shape import Shape


def log_file(c: Choices, shape: Shape, path: Path, rows: list[Row]) -> None:
    """One Parquet file; it lacks some of the columns that may be missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat: dict[str, pa.Array] = {}
    for role in shape.roles:
        if shape.layouts[role] == "hive" or (role in shape.missing and c.chance(0.4)):
            continue
        flat.update(arrays.column(c, shape, role, rows))
    nested = {shape.paths[r] for r, layout in shape.layouts.items() if layout == "nested"}
    table = arrays.assemble(c, flat, nested, len(rows))
    write_parquet(c, table, path)


def write_parquet(c: Choices, table: pa.Table, path: Path) -> None:
    compression = c.one(["none", "snappy", "zstd", "gzip", "lz4", "brotli"])
    leaves = [n for n in table.column_names if not pa.types.is_nested(table.schema.field(n).type)]
    bloom = {n: {"ndv": 64, "fpp": 0.05} for n in leaves} if c.has("bloom_filters", 0.3) else None
    options: dict[str, Any] = {
        "compression": compression,
        "use_dictionary": c.chance(0.6),
        "write_statistics": not c.has("no_statistics", 0.2),
        "data_page_version": c.one(["1.0", "2.0"]),
        "write_page_index": c.has("page_index", 0.4),
        "write_page_checksum": c.has("page_checksums", 0.4),
        "store_schema": c.chance(0.7),
        "max_rows_per_page": c.one([None, 1, 7]),
    }
    if bloom:
        options["bloom_filter_options"] = bloom
    group_rows = c.one([1_000_000, 1_000_000, 50, 9])
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        if c.has("empty_groups", 0.1):
            writer.write_table(table.slice(0, 0))
        if table.num_rows or c.has("empty_groups", 0.5):
            writer.write_table(table, row_group_size=group_rows)
        if c.has("empty_groups", 0.1):
            writer.write_table(table.slice(0, 0))


def registry(c: Choices, policy: Policy, folder: Path) -> None:
    zone = policy.registry_zone
    # Chance of its own: what was drawn before stays as it was.
    own = c.apart("special fields")
    marks = own.chance(0.5)
    rows = []
    for s, at in policy.scopes.items():
        fields = policy.data_fields.get(s, [])
        special = [";".join(own.some(fields, 0, 2))] if marks else []
        rows.append([s, spelled(c, at, zone), ";".join(fields), *special])
    header = ["scope", "deprecated_at", "data_fields", *(["special_fields"] if marks else [])]
    write_csv(folder / "scopes.csv", header, rows)
    apps = [[app, *(v or "" for v in details)] for app, details in policy.apps.items()]
    # Two rows that say the same are one.
    apps += c.some(apps, 0, 2)
    write_csv(
        folder / "apps.csv", ["app_id", "app_name", "developer_id", "developer_name"], apps
    )
    write_csv(
        folder / "extensions.csv", ["app_id", "scope", "grace_until"],
        [[*key, spelled(c, until, zone)] for key, until in policy.extensions.items()],
    )
    def at(moment: int | None) -> str:
        return "" if moment is None else spelled(c, moment, zone)

    if policy.grants is not None:
        write_csv(
            folder / "grants.csv", ["app_id", "scope", "granted_at", "revoked_at", "as_of"],
            [[app, scope, *map(at, moments)] for app, scope, *moments in policy.grants],
        )
    if policy.brownouts is not None:
        write_csv(
            folder / "brownouts.csv", ["scope", "app_id", "from", "to"],
            [[scope, app or "", at(begin), at(end)] for scope, app, begin, end in policy.brownouts],
        )
    if policy.attestations is not None:
        write_csv(
            folder / "attestations.csv",
            ["app_id", "scope", "asked_at", "attested_at", "statement"],
            [[app, scope or c.one(["", "all"]), at(asked), at(attested), statement or ""]
             for app, scope, asked, attested, statement in policy.attestations],
        )
    if policy.endpoints is not None:
        write_csv(
            folder / "endpoints.csv", ["method", "path", "scope"],
            [[e.method or "", e.path, e.scope] for e in policy.endpoints],
        )


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def configuration(c: Choices, policy: Policy, shapes: list[Shape], known: People, path: Path
                  ) -> None:
    registry_table: dict[str, Any] = {"scopes": "scopes.csv", "apps": "apps.csv"}
    registry_table["extensions"] = "extensions.csv"
    if policy.endpoints is not None:
        registry_table["endpoints"] = "endpoints.csv"
    for role in ("grants", "brownouts", "attestations"):
        if getattr(policy, role) is not None:
            registry_table[role] = f"{role}.csv"
    for role in ("memberships", "residency"):
        if getattr(known, role) is not None:
            registry_table[role] = f"{role}.parquet"
    if len(shapes) > 1 or c.chance(0.5):
        registry_table["people_of"] = shapes[known.source].name
    if known.thresholds is not None:
        registry_table["thresholds"] = "thresholds.csv"
        write_csv(
            path.parent / "thresholds.csv",
            ["regime", "jurisdiction", "operator", "number", "clock", "limit", "unit", "source"],
            [list(row) for row in known.thresholds],
        )
    if policy.registry_zone is not None:
        registry_table["zone"] = policy.registry_zone
    report: dict[str, Any] = {"max_rejected_rows": policy.max_rejected}
    if policy.lookback_days is not None:
        report["lookback_days"] = policy.lookback_days
    if policy.groups is not None:
        report["groups"] = policy.groups
    document: dict[str, Any] = {
        "source": [source_table(shape) for shape in shapes],
        "registry": registry_table,
        "report": report,
        "incident": {clock: spelled(c, at, policy.registry_zone)
                     for clock, at in known.incident.items()},
        "incident.reported": {json.dumps(regime): spelled(c, at, policy.registry_zone)
                              for regime, at in known.reported.items()},
        "output": {"url": "out/"},
    }
    lines = []
    for name, value in document.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {toml(v)}" for key, v in table.items()]
            lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")


def source_table(shape: Shape) -> dict[str, Any]:
    folder = f"logs/{shape.name}/"
    table: dict[str, Any] = {
        "name": shape.name,
        "url": f"{folder}**/*.parquet" if shape.url_form == "glob" else folder,
        "columns": {role: column_table(shape, role) for role in shape.roles},
    }
    if shape.scopes_mean is not None:
        table["scopes_mean"] = shape.scopes_mean
    rule = shape.allowed is not None or shape.null_status_allowed
    if "status" in shape.roles and rule:
        table["status"] = {"allowed": ["200-299"] if shape.allowed is None else shape.allowed,
                           "null": "allowed" if shape.null_status_allowed else "unknown"}
    if shape.partition_slack_days is not None:
        table["partition_time"] = {"column": "dt", "grain": "1d",
                                   "slack": f"{shape.partition_slack_days}d"}
    if shape.expected is not None:
        table["expected"] = shape.expected
    if shape.spaces:
        table["namespaces"] = shape.spaces
    return table


def column_table(shape: Shape, role: str) -> str | dict[str, Any]:
    path, layout = shape.paths[role], shape.layouts[role]
    table: dict[str, Any] = {"path": path}
    if layout == "concat":
        table = {"concat": [f"{path}_1", f"{path}_2"]}
    elif layout == "json":
        table["json"] = "a.b"
    elif layout == "entry":
        table["entry"] = {"equals": "wanted"}
    if role == "scopes" and shape.scopes != "single":
        table["encoding"] = shape.scopes
    if role == "time":
        style = shape.time.style
        if style == "epoch":
            table["format"] = f"epoch_{shape.time.unit}"
        elif style.startswith("%"):
            table["format"] = style
        if shape.time.zone is not None:
            table["zone"] = shape.time.zone
    if shape.kinds.get(role) == "uuid":
        table["kind"] = "uuid"
    if role in shape.folded:
        table["fold_case"] = True
    if role in shape.missing:
        table["missing"] = "null"
    return path if list(table) == ["path"] else table


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
