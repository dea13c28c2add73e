"""Which scopes a call needs."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """A row of the endpoint table: a call that matches needs the scope."""

    method: str | None
    segments: tuple[str, ...]
    scope: str

    @staticmethod
    def read(method: str | None, path: str, scope: str) -> Endpoint:
        return Endpoint(method.upper() if method else None, segments(path), scope)

    def vagueness(self) -> tuple[int, bool]:
        """Open segments, and whether every method will do."""
        return sum(is_placeholder(s) for s in self.segments), self.method is None

    def matches(self, method: str | None, call: tuple[str, ...]) -> bool:
        if self.method is not None and (method is None or method.upper() != self.method):
            return False
        return len(call) == len(self.segments) and all(
            is_placeholder(mine) or mine == theirs for mine, theirs in zip(self.segments, call)
        )


def is_placeholder(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def segments(path: str) -> tuple[str, ...]:
    """The segments of a path; logs hold doubled slashes, so empty segments say nothing."""
    return tuple(s for s in path.split("/") if s)


def call_segments(endpoint: str) -> tuple[str, ...]:
    """The segments of a call, which may be a full URL with a query."""
    without_host = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", endpoint)
    return segments(re.split(r"[?#]", without_host, maxsplit=1)[0])


def needed(table: list[Endpoint], method: str | None, endpoint: str | None) -> list[str]:
    """The scopes that permit the call: those of the most particular rows that match it
    (docs/counting.md, rule 4)."""
    if endpoint is None:
        return []
    call = call_segments(endpoint)
    matching = [e for e in table if e.matches(method, call)]
    nearest = min((e.vagueness() for e in matching), default=None)
    return sorted({e.scope for e in matching if e.vagueness() == nearest})
