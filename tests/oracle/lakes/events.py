"""The rows of a lake before any of them has a column type."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from lakes import names
from lakes.choices import Choices
from lakes.policy import Policy
from lakes.shape import Shape
from mapping.moments import DAY_NS, SECOND_NS

ID_ROLES = ("subject", "actor", "group", "event_id")
YEAR_3000 = 32_503_680_000 * SECOND_NS
YEAR_1600 = -11_676_096_000 * SECOND_NS


@dataclass
class Row:
    """Values by role. A missing role is null."""

    values: dict[str, Any] = field(default_factory=dict)
    # A value that no reader takes for a time, or a wall time that never was.
    unreadable_time: bool = False
    # Where scopes stand in JSON: a text that is none.
    unreadable_scopes: bool = False

    @property
    def time(self) -> int | None:
        return self.values.get("time")


@dataclass
class Habits:
    """How a source's rows turn out, so that single lakes go to extremes."""

    nulls: float
    rejects: bool
    negative: bool
    far_times: bool
    big_weights: bool
    people: dict[str, list[Any]]
    apps: list[str]
    scopes: list[str]

    @staticmethod
    def draw(c: Choices, shape: Shape, policy: Policy) -> Habits:
        rejects = policy.max_rejected > 0 or c.chance(0.15)
        apps = c.some(names.apps(c, policy.fold_apps), 1, 6)
        # Apps with a grace must turn up.
        apps += [app for app, _ in policy.extensions if c.chance(0.7)]
        if shape.integer_apps:
            apps = names.INTEGER_APPS
        scope_pool = names.FOLDED_SCOPES if policy.fold_scopes else names.SCOPES
        scopes = [*policy.scopes, *policy.scopes, *c.some(scope_pool, 1, 3), "not_asked"]
        if shape.scopes == "single" and shape.layouts["scopes"] != "hive":
            scopes += c.some(names.SCOPES_WITH_BLANKS, 0, 1)
        return Habits(
            nulls=c.one([0.0, 0.05, 0.3]),
            rejects=rejects and c.has("rejects", 0.6),
            negative=rejects and c.has("negative_weights", 0.5),
            far_times=shape.partition_slack_days is None and c.has("far_times", 0.08),
            big_weights=c.has("big_weights", 0.2),
            people={role: pool(c, shape, role) for role in ID_ROLES if role in shape.roles},
            apps=apps,
            scopes=scopes,
        )


def pool(c: Choices, shape: Shape, role: str) -> list[Any]:
    kind = shape.kinds[role]
    if kind == "int":
        extremes = names.UNSIGNED_INTEGERS if shape.unsigned else names.SIGNED_INTEGERS
        values: list[Any] = names.SMALL_INTEGERS + (extremes if c.chance(0.5) else [])
    else:
        values = names.TEXT_IDS if kind == "text" else names.UUIDS
    if role == "event_id" and kind == "int":
        values = values + list(range(11, 120))
    return c.some(values, 2, len(values))


def draw(c: Choices, policy: Policy, shapes: list[Shape]) -> list[list[Row]]:
    """The rows of every source, with repeats within and across sources."""
    habits = [Habits.draw(c, shape, policy) for shape in shapes]
    most = c.one([0, 5, 40, 40, 150, 400])
    rows: list[list[Row]] = []
    for shape, habit in zip(shapes, habits):
        rows.append([draw_row(c, policy, shape, habit) for _ in range(c.between(0, most))])
    if c.has("repeats", 0.7):
        for _ in range(c.between(1, 12)):
            repeat(c, policy, shapes, habits, rows)
    return rows


def draw_row(c: Choices, policy: Policy, shape: Shape, habit: Habits) -> Row:
    row = Row()
    for role in shape.roles:
        if role not in ("time", "scopes") and c.has(f"null_{role}", habit.nulls):
            continue
        row.values[role] = draw_value(c, policy, shape, habit, role)
    if habit.rejects and c.chance(0.08):
        row.values["time"] = None
        row.unreadable_time = c.chance(0.5)
    if habit.rejects and c.chance(0.05):
        row.unreadable_scopes = True
        # Before every restriction such a row is outside if its file is left out, and a reject if
        # it is read: so it comes after all.
        row.values["time"] = policy.base + c.between(8, 40) * DAY_NS
    return row


def draw_value(c: Choices, policy: Policy, shape: Shape, habit: Habits, role: str) -> Any:
    if role == "time":
        return draw_time(c, policy, shape, habit)
    if role == "app":
        return maybe_upper(c, c.one(habit.apps), "app" in shape.folded)
    if role == "scopes":
        return draw_scopes(c, shape, habit)
    if role in ID_ROLES:
        return maybe_upper(c, c.one(habit.people[role]), role in shape.folded)
    if role == "status":
        return c.one(names.STATUSES if shape.status == "code" else names.WORDS)
    if role == "weight":
        return draw_weight(c, habit)
    if role in ("bytes", "records"):
        return c.weighted({0: 1, 1: 1, 7: 1, 4096: 1, 2**31: 0.5, 2**40: 0.2})
    if role == "fields":
        return c.some(names.FIELDS, 0, 3)
    if role == "method":
        return c.one(names.METHODS)
    return draw_call(c)


def draw_weight(c: Choices, habit: Habits) -> int:
    if habit.negative and c.chance(0.08):
        return c.one([-1, -(2**40)])
    return c.one([0, 1, 1, 2, 10] + ([2**31, 10**15] if habit.big_weights else []))


def draw_call(c: Choices) -> str:
    call = c.one(names.CALLS)
    if c.chance(0.2):
        call = call.replace("/", "//", 1)
    if c.chance(0.3):
        call += c.one(["?a=1", "?next=/groups/42", "#top", "?", "?x=a/b#c"])
    if c.chance(0.3):
        call = c.one(["https://graph.example.com", "http://localhost:8080"]) + call
    return call


def draw_time(c: Choices, policy: Policy, shape: Shape, habit: Habits) -> int:
    if habit.far_times and c.chance(0.1):
        time = c.one([YEAR_3000, YEAR_1600])
        # Nanoseconds in 64 bits end in 2262, seconds in 32 bits in 2038.
        return time if shape.time.unit not in ("ns",) else policy.base + 200 * 365 * DAY_NS
    if c.chance(0.35):
        time = c.one(policy.cuts) + c.one([-1, 0, 0, 1]) * shape.time.step
    elif c.chance(0.2) and policy.zone != "UTC":
        # Around the change of clocks, which comes in the small hours of the second day.
        time = policy.base + DAY_NS // 2 + c.between(0, 24 * 60) * 60 * SECOND_NS
    else:
        first, last = min(policy.cuts[0], policy.base), max(policy.cuts[-1], policy.base)
        first, last = max(first, policy.base - 6 * DAY_NS), min(last, policy.base + 35 * DAY_NS)
        time = c.between(first - DAY_NS, last + 2 * DAY_NS)
    return time // shape.time.step * shape.time.step


def draw_scopes(c: Choices, shape: Shape, habit: Habits) -> list[str] | None:
    if c.chance(habit.nulls / 2):
        return None
    if shape.scopes == "single":
        return [maybe_upper(c, c.one(habit.scopes), "scopes" in shape.folded)]
    drawn = [c.one(habit.scopes) for _ in range(c.one([0, 1, 1, 2, 3, 5]))]
    return [maybe_upper(c, s, "scopes" in shape.folded) for s in drawn]


def maybe_upper(c: Choices, text: Any, folded: bool) -> Any:
    return c.one([text, text.upper(), text.title()]) if folded else text


def repeat(c: Choices, policy: Policy, shapes: list[Shape], habits: list[Habits],
           rows: list[list[Row]]) -> None:
    """Copies a row, as it is or changed, into its own or another source."""
    full = [n for n, r in enumerate(rows) if r]
    if not full:
        return
    origin, target = c.one(full), c.between(0, len(shapes) - 1)
    if c.chance(0.5):
        target = origin
    row = deepcopy(c.one(rows[origin]))
    if c.chance(0.9) and row.values.get("event_id") is None and "event_id" in shapes[origin].roles:
        row.values["event_id"] = c.one(habits[origin].people["event_id"])
    if origin != target:
        row = carried_over(c, policy, shapes[origin], shapes[target], habits[target], row)
    if c.chance(0.4):
        role = c.one(shapes[target].roles)
        if role != "event_id":
            row.values[role] = draw_value(c, policy, shapes[target], habits[target], role)
            row.unreadable_time = row.unreadable_time and role != "time"
    for _ in range(c.one([1, 1, 2, 3])):
        rows[target].append(deepcopy(row))


def carried_over(c: Choices, policy: Policy, origin: Shape, target: Shape, habit: Habits, row: Row
                 ) -> Row:
    """The row as the other source would have logged it."""
    for role in target.roles:
        same = role in origin.roles and origin.kinds.get(role) == target.kinds.get(role)
        if role == "app":
            same = same and origin.integer_apps == target.integer_apps
        if role == "status":
            same = same and origin.status == target.status
        if role == "scopes":
            same = same and (target.scopes != "single" or origin.scopes == "single")
            same = same and (target.scopes not in ("space", "comma") or origin.scopes != "single")
        if not same:
            row.values[role] = draw_value(c, policy, target, habit, role)
    if row.time is not None:
        # As where it is drawn: nanoseconds in 64 bits end in 2262.
        far = target.time.unit == "ns" and abs(row.time) >= 2**63
        time = policy.base + 200 * 365 * DAY_NS if far else row.time
        row.values["time"] = time // target.time.step * target.time.step
    row.values = {role: v for role, v in row.values.items() if role in target.roles}
    return row
