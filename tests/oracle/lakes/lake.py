"""A lake on disk, and the story of runs over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

from lakes import events, people, policy, shape, writing
from lakes.choices import Choices
from lakes.events import Row
from lakes.policy import draw_moment, local, rfc3339
from mapping.moments import DAY_NS
from program import Run

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass
class LakeFile:
    source: int
    path: Path
    rows: list[Row]


class Lake:
    """Lake number `number`, below `folder`."""

    def __init__(self, number: int, folder: Path, without: frozenset[str] = frozenset()) -> None:
        self.c = Choices(number, without)
        self.folder = folder
        self.policy = policy.draw(self.c)
        spaces = shape.Spaces()
        count = self.c.weighted({1: 0.45, 2: 0.4, 3: 0.15})
        self.shapes = [shape.draw(self.c, n, self.policy, spaces) for n in range(count)]
        if any("endpoint" in s.roles for s in self.shapes):
            asked = [*self.policy.scopes, "not_asked"]
            self.policy.endpoints = policy.draw_endpoints(self.c, asked)
        rows = events.draw(self.c, self.policy, self.shapes)
        self.people = people.draw(self.c.apart("people"), self.policy, self.shapes, rows)
        # Runs of half the lakes count only what has changed since the run before, and there are more of them. What
        # is counted in full whatever has changed is rare there.
        kept = self.c.apart("kept counts")
        self.keeps_counts = kept.has("kept_counts", 0.5)
        self.further_steps = kept.between(1, 4) if self.keeps_counts else 0
        self.few_changes = self.keeps_counts and kept.chance(0.8)
        if self.few_changes:
            self.people.memberships = self.people.residency = None
        self.files = [f for n, r in enumerate(rows) for f in self.split(n, r)]
        # What may have changed figures since the run before, as change_log names it.
        self.causes: set[str] = set()
        self.last: tuple[str, int, frozenset[str]] | None = None

    def runs(self) -> Iterator[Run]:
        """Each run of the story; what it reads is on disk when it is given."""
        c = self.c
        for file in self.files:
            writing.log_file(c, self.shapes[file.source], file.path, file.rows)
        people.write(c.apart("people's files"), self.people, self.shapes, self.folder)
        yield self.run("out-1")
        steps = c.weighted({0: 0.6, 1: 0.3, 2: 0.1})
        if "state" in c.without:
            return
        for step in range(steps + self.further_steps):
            self.change()
            yield self.run(c.one(["out-1", f"out-{step + 2}"]))

    def run(self, output: str) -> Run:
        c = self.c
        writing.registry(c, self.policy, self.folder)
        config = self.folder / "afterscope.toml"
        writing.configuration(c, self.policy, self.shapes, self.people, config)
        flags = ["--state", str(self.folder / "state"), "--threads", str(c.between(1, 3)), "-q"]
        environment: tuple[tuple[str, str], ...] = ()
        if c.has("memory_limit", 0.3):
            flags += ["--memory-limit", c.one(["170MiB", "256MiB", "1GiB"])]
        if self.keeps_counts:
            flags += ["--keep-counts-from", "0"]
        if c.has("no_pruning", 0.25):
            flags.append("--no-pruning")
        if c.has("id_key", 0.08):
            flags += ["--id-key", "env:ORACLE_ID_KEY"]
            environment = (("ORACLE_ID_KEY", "a secret of at least thirty-two bytes"),)
        return Run(config, self.as_of(), self.folder / output, tuple(flags), environment,
                   self.followed(output, flags))

    def followed(self, output: str, flags: list[str]) -> frozenset[str] | None:
        """Causes of changed figures where the run follows the one before; it must be in the same
        output, and end no later."""
        reading = frozenset(flag for flag in flags if flag in ("--no-pruning", "--id-key"))
        before, self.last = self.last, (output, self.policy.as_of, reading)
        causes, self.causes = self.causes, set()
        if before is None or before[0] != output or before[1] > self.policy.as_of:
            return None
        if before[1] != self.policy.as_of:
            causes.add("later as_of")
        if before[2] != reading:
            causes.add("mapping change")
        if ("--id-key" in before[2]) != ("--id-key" in reading):
            # The registry is written in other words each time, and under another id key no state
            # between the reports can be counted that would show that they mean the same.
            causes.add("policy change")
        # What is the same in all is the same run, which does not follow itself.
        follows = causes and self.c.apart(f"follows {output}").chance(0.7)
        return frozenset(causes) if follows else None

    def as_of(self) -> str:
        wall, nanos = local(self.policy.as_of, "UTC")
        if nanos == 0 and (wall.hour, wall.minute, wall.second) == (0, 0, 0) and self.c.chance(0.5):
            return f"{wall:%Y-%m-%d}"
        return rfc3339(self.c, self.policy.as_of)

    def split(self, number: int, rows: list[Row]) -> list[LakeFile]:
        """The rows of a source in files, at least one, below its partition folders."""
        c = self.c
        if c.chance(0.5):
            rows = sorted(rows, key=lambda r: (r.time is None, r.time or 0))
        folders: dict[Path, list[Row]] = {}
        for row in rows:
            folders.setdefault(self.below(number, row), []).append(row)
        files = []
        for folder, members in folders.items():
            parts = c.one([1, 1, 2, 3])
            for part in range(parts):
                size = -(-len(members) // parts)
                chunk = members[part * size:(part + 1) * size]
                if chunk or c.has("empty_files", 0.5):
                    files.append(LakeFile(number, folder / f"part-{part}.parquet", chunk))
        # A source without any file is another matter than one without rows.
        if not files:
            files.append(LakeFile(number, self.below(number, Row()) / "part-0.parquet", []))
        return files

    def below(self, number: int, row: Row) -> Path:
        """The folder for a row; a mapped partition column takes the row's value into its name."""
        c, drawn = self.c, self.shapes[number]
        folder = self.folder / "logs" / drawn.name
        if drawn.partition_slack_days is not None:
            # A folder whose whole bound lies before every restriction may be left out unread, and
            # then a null time below it is outside; read, it is a reject. Both are right.
            time = self.policy.base + 60 * DAY_NS if row.time is None else row.time
            slack = drawn.partition_slack_days
            day = time // DAY_NS + c.between(-slack, slack)
            folder /= f"dt={local(day * DAY_NS, 'UTC')[0]:%Y-%m-%d}"
        for role, layout in drawn.layouts.items():
            if layout == "hive":
                value = row.values.get(role)
                text = value[0] if isinstance(value, list) and value else value
                folder /= f"{drawn.paths[role]}={self.hive_text(text)}"
        return folder

    def hive_text(self, value: str | list | None) -> str:
        if not isinstance(value, str):
            return HIVE_NULL if self.c.has("hive_null", 0.5) else "none"
        escaped = quote(value, safe="")
        return escaped if escaped == value or self.c.has("hive_escapes", 0.7) else "other"

    def change(self) -> None:
        """What may change between two runs that share a ledger."""
        c, p = self.c, self.policy
        standing = "change_standing" not in c.without and not self.few_changes
        if standing and p.attestations and c.apart("story").chance(0.5):
            p.attestations.pop()
            self.causes.add("policy change")
        kinds = ["as_of", "date", "scope", "grace", "lookback", "add", "remove", "rewrite"]
        if self.few_changes:
            kinds = ["as_of", "date", "grace", "lookback", "add"]
        for what in c.some(kinds, 1, 1 if self.few_changes else 3):
            if f"change_{what}" in c.without:
                continue
            if what in ("date", "scope", "grace", "lookback"):
                self.causes.add("policy change")
            if what == "as_of":
                p.as_of = draw_moment(c, p.base, p.zone, -3, 20)
            elif what == "date":
                p.scopes[c.one(list(p.scopes))] = draw_moment(c, p.base, p.zone, -4, 6)
            elif what == "scope":
                self.change_scopes()
            elif what == "grace" and p.extensions:
                p.extensions[c.one(list(p.extensions))] = draw_moment(c, p.base, p.zone, -4, 14)
            elif what == "lookback":
                p.lookback_days = c.one([None, 0, 1, 3, 10])
            elif what in ("add", "remove", "rewrite"):
                self.change_files(what)
        p.refresh_cuts()

    def change_scopes(self) -> None:
        """A newly asked scope, or one that is asked no longer."""
        c, p = self.c, self.policy
        pool = events.names.FOLDED_SCOPES if p.fold_scopes else events.names.SCOPES
        new = c.one(pool)
        if new in p.scopes and len(p.scopes) > 1:
            del p.scopes[new]
            p.extensions = {k: v for k, v in p.extensions.items() if k[1] != new}
        else:
            p.scopes[new] = draw_moment(c, p.base, p.zone, -4, 6)
            p.data_fields[new] = c.some(events.names.CATEGORIES, 0, 3)

    def change_files(self, what: str) -> None:
        c = self.c
        file = c.one(self.files)
        drawn = self.shapes[file.source]
        if what == "remove":
            if sum(f.source == file.source for f in self.files) > 1:
                self.causes.add("missing file")
                file.path.unlink()
                self.files.remove(file)
            return
        # Rows that may lie where the chosen file lies: those of the files beside it.
        beside = [r for f in self.files if f.path.parent == file.path.parent for r in f.rows]
        rows = c.some(beside, 0, len(beside))
        if what == "add":
            count = sum(f.path.parent == file.path.parent for f in self.files)
            file = LakeFile(file.source, file.path.with_name(f"late-{count}.parquet"), rows)
            # One may have been there, and went.
            self.causes |= {"late file", "rewritten file"}
            self.files = [f for f in self.files if f.path != file.path] + [file]
        else:
            file.rows = rows
            # The file may have come since the run before.
            self.causes |= {"rewritten file", "late file"}
        writing.log_file(c, drawn, file.path, rows)
