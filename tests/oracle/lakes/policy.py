"""The registry and the moments of a lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from lakes import names
from lakes.choices import Choices
from mapping.moments import DAY_NS, EPOCH, SECOND_NS, from_wall, parse_setting, zone_named

# Days around which a lake lies, with a zone that changes its clocks just then.
PLACES = [
    ("2018-04-04", "UTC"), ("2019-03-30", "Europe/Berlin"), ("2019-10-26", "Europe/Berlin"),
    ("2019-11-02", "America/New_York"), ("2018-11-03", "America/Sao_Paulo"),
    ("2019-04-06", "Australia/Lord_Howe"), ("2020-02-28", "Asia/Kolkata"), ("1969-12-30", "UTC"),
    ("2019-06-29", "+05:30"),
]


@dataclass
class Endpoint:
    method: str | None
    path: str
    scope: str


# app, scope, granted_at, revoked_at, as_of
GrantRow = tuple[str, str, int | None, int | None, int | None]
# scope, app, from, to
BrownoutRow = tuple[str, str | None, int, int]
# app, scope, asked_at, attested_at, statement
AttestationRow = tuple[str, str | None, int | None, int | None, str | None]


@dataclass
class Policy:
    """Everything that is no log. Moments are ns; `as_of` is too."""

    base: int
    zone: str
    registry_zone: str | None
    scopes: dict[str, int]
    data_fields: dict[str, list[str]]
    apps: dict[str, tuple[str | None, str | None, str | None]]
    extensions: dict[tuple[str, str], int]
    endpoints: list[Endpoint] | None
    # Each None where the lake has no such file.
    grants: list[GrantRow] | None
    brownouts: list[BrownoutRow] | None
    attestations: list[AttestationRow] | None
    as_of: int
    lookback_days: int | None
    groups: int | str | None
    max_rejected: int
    fold_apps: bool
    fold_scopes: bool
    cuts: list[int] = field(default_factory=list)

    def refresh_cuts(self) -> None:
        """The moments at which a figure may change."""
        days = [self.base + n * DAY_NS for n in (0, 1, 2)]
        lookback = 60 if self.lookback_days is None else self.lookback_days
        self.cuts = sorted({
            *self.scopes.values(), *self.extensions.values(), self.as_of,
            self.as_of - lookback * DAY_NS, *days, *self.moments(),
        })

    def moments(self) -> list[int]:
        """Those of grants, brownouts and promises."""
        rows = [*((g[2], g[3]) for g in self.grants or ()),
                *((b[2], b[3]) for b in self.brownouts or ()),
                *((a[3],) for a in self.attestations or ())]
        return [moment for row in rows for moment in row if moment is not None]


def draw(c: Choices) -> Policy:
    day, zone = c.one(PLACES)
    base = parse_setting(day, "UTC")
    fold_apps, fold_scopes = c.has("fold_case", 0.12), c.has("fold_case", 0.12)
    pool = names.FOLDED_SCOPES if fold_scopes else names.SCOPES
    scopes = {s: draw_moment(c, base, zone, -2, 5) for s in c.some(pool, 1, 5)}
    app_pool = names.apps(c, fold_apps)
    policy = Policy(
        base=base,
        zone=zone,
        registry_zone=zone if c.has("registry_zone", 0.4) else None,
        scopes=scopes,
        data_fields={s: c.some(names.CATEGORIES, 0, 3) for s in scopes},
        apps=draw_apps(c, app_pool),
        extensions={},
        endpoints=None,
        grants=None,
        brownouts=None,
        attestations=None,
        as_of=draw_moment(c, base, zone, *c.weighted({(4, 9): 0.5, (8, 30): 0.25, (-3, 5): 0.25})),
        lookback_days=c.one([None, 0, 1, 2, 3, 5, 30, 400]),
        groups=c.one([None, None, "all", 1, 2, 3]),
        max_rejected=c.weighted({0: 0.4, 3: 0.1, 100_000: 0.5}),
        fold_apps=fold_apps,
        fold_scopes=fold_scopes,
    )
    for app in c.some(app_pool, 0, 5):
        for scope in c.some(list(scopes), 1, 2):
            policy.extensions[app, scope] = draw_moment(c, base, zone, -4, 14)
    draw_standing(c.apart("standing"), policy, app_pool)
    policy.refresh_cuts()
    return policy


def draw_standing(c: Choices, policy: Policy, app_pool: list[str]) -> None:
    """Grants, brownouts and promises: most of apps and scopes that occur."""
    scopes = [*policy.scopes, *(["not_asked"] if c.chance(0.3) else [])]

    def moment() -> int:
        return draw_moment(c, policy.base, policy.zone, -3, 8)

    if c.has("grants", 0.6):
        policy.grants = []
        for app in c.some(app_pool, 0, 6):
            for scope in c.some(scopes, 1, 3):
                begins: list[int | None] = [m for m in {moment() for _ in range(c.between(0, 2))}]
                if c.chance(0.4):
                    begins.append(None)
                for begin in begins:
                    policy.grants += draw_grant(c, policy, app, scope, begin)
    if c.has("brownouts", 0.5):
        policy.brownouts = []
        for scope in c.some(scopes, 0, 3):
            for app in [None, *c.some(app_pool, 0, 2)][c.between(0, 1):]:
                begin, end = sorted((moment(), moment()))
                if begin < end:
                    policy.brownouts.append((scope, app, begin, end))
    if c.has("attestations", 0.6):
        rows: dict[tuple[str, str | None, int | None], AttestationRow] = {}
        for app in c.some(app_pool, 0, 6):
            for scope in c.some([None, *scopes], 1, 2):
                asked = None if c.chance(0.2) else moment()
                attested = None if asked is not None and c.chance(0.2) else moment()
                if asked is not None and attested is not None:
                    asked, attested = sorted((asked, attested))
                statement = c.one([None, "deleted", "=gone", "<b>all</b>, twice"])
                rows[app, scope, attested] = (app, scope, asked, attested, statement)
        policy.attestations = list(rows.values())


def draw_grant(c: Choices, policy: Policy, app: str, scope: str, begin: int | None
               ) -> list[GrantRow]:
    """One grant; now and then with rows of what was thought of it before."""
    least = policy.base if begin is None else begin

    def end() -> int | None:
        drawn = draw_moment(c, policy.base, policy.zone, -3, 9)
        return drawn if drawn > least and c.chance(0.7) else None

    if not c.has("snapshots", 0.3):
        return [(app, scope, begin, end(), None)]
    known = {draw_moment(c, policy.base, policy.zone, -3, 12) for _ in range(c.between(1, 3))}
    rows: list[GrantRow] = [(app, scope, begin, end(), at) for at in known]
    return rows + ([(app, scope, begin, end(), None)] if c.chance(0.5) else [])


def draw_apps(c: Choices, pool: list[str]) -> dict[str, tuple[str | None, str | None, str | None]]:
    apps: dict[str, tuple[str | None, str | None, str | None]] = {}
    for app in c.some(pool, 0, len(pool)):
        developer = None if c.chance(0.2) else c.one(names.DEVELOPERS)
        named = developer is not None and developer not in ("=dev", "(rest)")
        apps[app] = (
            None if c.chance(0.3) else f"{app} (name)",
            developer,
            f"{developer} & Sons" if named else None,
        )
    return apps


def draw_endpoints(c: Choices, scopes: list[str]) -> list[Endpoint]:
    table = []
    for path in c.some(names.TEMPLATES, 1, 6):
        method = c.one([None, "GET", "POST", "get"])
        for scope in c.some(scopes, 1, 2):
            # Two rows for one path, one of them for every method: a call may match both.
            if c.has("overlapping_endpoints", 0.3):
                method = c.one([None, "GET", "POST"])
            table.append(Endpoint(method, path, scope))
    # A row without any scope of the registry: the call is known and needs none that is asked.
    return [*table, Endpoint(None, "/search", "not_asked")]


def draw_moment(c: Choices, base: int, zone: str, first_day: int, last_day: int) -> int:
    """Midnights in the lake's zone and in UTC, and moments at any precision."""
    day = base + c.between(first_day, last_day) * DAY_NS
    kind = c.weighted({"utc": 0.3, "local": 0.2, "second": 0.2, "ms": 0.1, "us": 0.1, "ns": 0.1})
    if kind == "utc":
        return day
    if kind == "local":
        midnight = from_wall(EPOCH + timedelta(seconds=day // SECOND_NS), 0, zone)
        return day if midnight is None else midnight
    step = {"second": SECOND_NS, "ms": 1_000_000, "us": 1_000, "ns": 1}[kind]
    return day + c.between(0, DAY_NS // step - 1) * step


def local(moment: int, zone: str) -> tuple[datetime, int]:
    """What clocks in `zone` show, in whole seconds, and the nanoseconds left over."""
    seconds, nanos = divmod(moment, SECOND_NS)
    utc = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=ZoneInfo("UTC"))
    return utc.astimezone(zone_named(zone)).replace(tzinfo=None), nanos


def spelled(c: Choices, moment: int, zone: str | None) -> str:
    """One of the ways to write a moment in a registry file."""
    in_zone = zone or "UTC"
    wall, nanos = local(moment, in_zone)
    options = [rfc3339(c, moment)]
    if from_wall(wall, nanos, in_zone) == moment:
        options.append(f"{wall:%Y-%m-%dT%H:%M:%S}{fraction(nanos, None)}")
        if nanos == 0 and (wall.hour, wall.minute, wall.second) == (0, 0, 0):
            options.extend([f"{wall:%Y-%m-%d}"] * 2)
    return c.one(options)


def rfc3339(c: Choices, moment: int, digits: int | None = None) -> str:
    offset = c.one(["Z", "Z", "+00:00", "+05:30", "-08:00", "+14:00"])
    wall, nanos = local(moment, "UTC" if offset == "Z" else offset)
    return f"{wall:%Y-%m-%dT%H:%M:%S}{fraction(nanos, digits)}{offset}"


def fraction(nanos: int, digits: int | None) -> str:
    """`digits` of the fraction; None for as many as it needs."""
    text = f"{nanos:09d}"
    text = text.rstrip("0") if digits is None else text[:digits]
    return f".{text}" if text else ""
