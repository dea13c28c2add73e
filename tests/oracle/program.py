"""Runs the program and reads what it published."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import differences, totals_differences
from contract import TableContract
from oracle import Oracle

# More than any small lake needs; a run that takes longer hangs.
TIMEOUT_S = 600


@dataclass(frozen=True)
class Run:
    """One call of `afterscope run`."""

    config: Path
    as_of: str
    output: Path
    flags: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def command(self, program: Path) -> list[str]:
        return [str(program), "run", "--config", str(self.config), "--as-of", self.as_of,
                "--output", str(self.output), *self.flags]

    def listing(self, program: Path, place: Path, chosen: list[str]) -> list[str]:
        """The call of `afterscope notification-list` beside it."""
        return [str(program), "notification-list", *self.command(program)[2:], "--out", str(place),
                *chosen]


def check(run: Run, program: Path, oracle: Oracle, contracts: list[TableContract]) -> list[str]:
    """What differs between the program and the oracle; empty if they agree."""
    answer = oracle.answer(run.config, run.as_of)
    environment = {**os.environ, **dict(run.environment)}
    done = subprocess.run(run.command(program), capture_output=True, text=True, env=environment,
                          timeout=TIMEOUT_S, check=False)
    if done.returncode != answer.exit_code:
        reason = f"{answer.rejected} rejected rows, {answer.max_rejected} allowed"
        return [
            f"exit code: oracle {answer.exit_code} ({reason}), program {done.returncode}",
            *("  " + line for line in done.stderr.strip().splitlines()[-8:]),
        ]
    if answer.exit_code != 0:
        return []
    try:
        line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        folder = Path(str(line["tables"]).removeprefix("file://"))
        lines = totals_differences(answer.tables["scope_summary"], line["totals"])
        if line["verdict"] != "complete":
            lines.append(f"verdict: oracle complete, program {line['verdict']}")
    except (IndexError, KeyError, ValueError) as e:
        return [f"the last line on stdout is not as promised: {e!r}: {done.stdout[-300:]!r}"]
    for contract in contracts:
        found = folder / f"{contract.name}.parquet"
        lines += differences(contract, answer.tables[contract.name], found)
    return lines or people_differences(run, program, oracle, environment)


def people_differences(run: Run, program: Path, oracle: Oracle, environment: dict[str, str]
                       ) -> list[str]:
    """What differs between the program's lists of people and the oracle's."""
    place = run.output.with_name(f"{run.output.name}-people")
    for scopes, apps in oracle.choices():
        chosen = [*(f"--scope={scope}" for scope in scopes), *(f"--app={app}" for app in apps)]
        done = subprocess.run(run.listing(program, place, chosen), capture_output=True, text=True,
                              env=environment, timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            return [f"exit code of notification-list {chosen}: {done.returncode}",
                    *("  " + line for line in done.stderr.strip().splitlines()[-8:])]
        found = place / f"{oracle.people.name}.parquet"
        lines = differences(oracle.people, oracle.listed(scopes, apps), found)
        if lines:
            return [*lines, f"of notification-list {chosen}"]
    return []
