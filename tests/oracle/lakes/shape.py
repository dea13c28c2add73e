"""How a source writes its log: which roles it has, and in which columns they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from lakes import names
from lakes.choices import Choices
from lakes.policy import Policy, local
from mapping.moments import DAY_NS, UNIT_NS

KINDS = ["int", "text", "uuid"]


@dataclass
class Spaces:
    """Namespaces of a lake and the kind of the ids in each."""

    kinds: dict[tuple[str, str], str] = field(default_factory=dict)

    def kind(self, c: Choices, role: str, space: str) -> str:
        return self.kinds.setdefault((role, space), c.one(KINDS))


@dataclass
class Time:
    # `zoned`, `wall`, `epoch`, `rfc3339`, `rfc3339_wall` or a strftime pattern.
    style: str
    unit: str
    zone: str | None

    @property
    def step(self) -> int:
        return UNIT_NS[self.unit]


@dataclass
class Shape:
    """One source."""

    name: str
    roles: list[str]
    # Role to the path that the configuration names.
    paths: dict[str, str]
    # Role to how its column is built: plain, nested, dotted, json, entry, concat, hive.
    layouts: dict[str, str]
    kinds: dict[str, str]
    time: Time
    # single, list, space, comma or none.
    scopes: str
    scopes_mean: str | None
    status: str
    allowed: list[int | str] | None
    null_status_allowed: bool
    missing: set[str]
    spaces: dict[str, str]
    partition_slack_days: int | None
    expected: dict[str, str] | None
    url_form: str
    unsigned: bool
    # Columns whose values are lower-cased before use.
    folded: set[str]
    integer_apps: bool


def draw(c: Choices, number: int, policy: Policy, spaces: Spaces) -> Shape:
    name = ["access", "audit", "gateway"][number]
    shared = {
        role: c.one(["shared", "access", "common"])
        for role in ("person", "group", "event")
        if c.has("shared_namespaces", 0.5)
    }
    if "equal_groups" in c.without:
        shared["group"] = "shared"
    people = c.one(["subject", "actor", "both", "both", "neither"])
    scopes = c.weighted({"single": 0.4, "list": 0.2, "space": 0.15, "comma": 0.15, "none": 0.1})
    if "endpoints" in c.without and scopes == "none":
        scopes = "single"
    by_call = scopes == "none" or (scopes != "single" and c.has("partly_exercised", 0.35))
    roles = ["time", "app"]
    if scopes != "none":
        roles.append("scopes")
    if by_call:
        roles += ["endpoint"] + (["method"] if c.chance(0.7) else [])
    roles += {"subject": ["subject"], "actor": ["actor"], "both": ["subject", "actor"],
              "neither": []}[people]
    for role, p in (("group", 0.8), ("status", 0.75), ("bytes", 0.6), ("records", 0.4),
                    ("fields", 0.2), ("weight", 0.3), ("event_id", 0.75)):
        if c.has(role, p):
            roles.append(role)
    space_of = {"subject": "person", "actor": "person", "group": "group", "event_id": "event"}
    kinds = {r: spaces.kind(c, space_of[r], shared.get(space_of[r], name))
             for r in roles if r in space_of}
    shape = Shape(
        name=name,
        roles=roles,
        paths={},
        layouts={},
        kinds=kinds,
        time=draw_time(c, policy),
        scopes=scopes,
        scopes_mean=None if by_call or scopes == "single" else c.one(["exercised", "held"]),
        status=c.one(["code", "code", "word"]),
        allowed=None,
        null_status_allowed=c.chance(0.3),
        missing={r for r in roles if r != "time" and c.has(f"missing_{r}", 0.2)},
        spaces=shared,
        partition_slack_days=c.one([0, 1, 2]) if c.has("partition_time", 0.25) else None,
        expected=None,
        url_form=c.one(["folder", "folder", "glob"]),
        unsigned=c.has("uint64", 0.3),
        folded={r for r, kind in kinds.items() if kind == "text" and c.has("fold_case", 0.15)},
        integer_apps=c.has("integer_apps", 0.1),
    )
    shape.folded |= {r for r, folds in (("app", policy.fold_apps), ("scopes", policy.fold_scopes))
                     if folds and r in roles}
    shape.allowed = draw_allowed(c, shape)
    whole = shape.partition_slack_days is not None
    if c.has("expected" if whole else "expected_without_partitions", 0.3):
        shape.expected = draw_expected(c, policy)
    for role in roles:
        place(c, shape, role)
    return shape


def draw_time(c: Choices, policy: Policy) -> Time:
    text = 0.0 if "text_times" in c.without else 1.0
    style = c.weighted({"zoned": 0.4, "wall": 0.2, "epoch": 0.15, "rfc3339": 0.15 * text,
                        "rfc3339_wall": 0.04 * text, "%Y-%m-%d %H:%M:%S": 0.03 * text,
                        "%d/%b/%Y:%H:%M:%S %z": 0.03 * text})
    unit = "s" if style.startswith("%") else c.one(["s", "ms", "us", "us", "ns"])
    zone = policy.zone if c.has("wall_zones", 0.8) else "UTC"
    needs_zone = style in ("wall", "rfc3339_wall") or (style.startswith("%") and "%z" not in style)
    return Time(style, unit, zone if needs_zone else None)


def draw_allowed(c: Choices, shape: Shape) -> list[int | str] | None:
    if "status" not in shape.roles:
        return None
    # Nothing allowed at all is a mistake, unless null is.
    least = 0 if shape.null_status_allowed and "empty_allowed" not in c.without else 1
    if shape.status == "word":
        return [*c.some(names.WORDS, least, 3)]
    rules: list[list[int | str] | None] = [
        None, None, [200], [200, "300-399", 500], ["200-299", "404-404"], ["0-199"], [],
    ]
    return c.one(rules[:len(rules) - least])


def draw_expected(c: Choices, policy: Policy) -> dict[str, str]:
    def day(n: int) -> str:
        return f"{local(policy.base + n * DAY_NS, 'UTC')[0]:%Y-%m-%d}"

    table = {"every": "1d", "from": day(c.between(-5, 4))}
    # With nothing expected before as_of the program asks for another `until`.
    if c.chance(0.5) or ("expected_late" in c.without):
        table["until"] = day(c.between(5, 12))
    if c.chance(0.3):
        table["grace"] = c.one(["1d", "2d", "36h"])
    return table


def place(c: Choices, shape: Shape, role: str) -> None:
    """Where the role's column stands."""
    textual = role in ("endpoint", "method") or shape.kinds.get(role) == "text"
    textual = textual or (role == "app" and not shape.integer_apps)
    layout = "plain"
    if c.has("nested", 0.15):
        layout = "nested"
    elif c.has("dotted", 0.05):
        layout = "dotted"
    elif textual and c.has("json", 0.04):
        layout = "json"
    elif textual and c.has("entry", 0.04):
        layout = "entry"
    elif role == "scopes" and shape.scopes in ("single", "list") and c.has("json_scopes", 0.1):
        layout = "json"
    elif role == "scopes" and shape.scopes == "single" and c.has("concat", 0.12):
        layout = "concat"
    elif role in ("app", "group", "scopes") and c.has("hive", 0.05):
        single = role != "scopes" or shape.scopes == "single"
        text = role != "group" or shape.kinds[role] == "text"
        # Two levels of folders say nothing that one does not.
        if single and text and "hive" not in shape.layouts.values():
            layout = "hive"
    shape.layouts[role] = layout
    stem = f"c_{role}"
    shape.paths[role] = {
        "nested": f"ctx.{stem}" if c.chance(0.5) else f"outer.inner.{stem}",
        "dotted": f"flat.{stem}",
        "json": f"{stem}_json",
        "entry": f"{stem}_entries",
        "hive": f"p_{role}",
    }.get(layout, stem)
    if layout == "hive":
        shape.missing.discard(role)
