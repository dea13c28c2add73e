"""Runs the program and reads what it published."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import changes
from compare import differences, totals_differences
from contract import TableContract
from oracle import Answer, Oracle

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
    # Causes that changed figures since the run before may have; None for a run that follows none.
    causes: frozenset[str] | None = None

    def command(self, program: Path) -> list[str]:
        return [str(program), "run", "--config", str(self.config), "--as-of", self.as_of,
                "--output", str(self.output), *self.flags]


@dataclass(frozen=True)
class Report:
    """A report that stands published, and what the oracle has in its place."""

    run_id: str
    answer: Answer


def check(run: Run, program: Path, oracle: Oracle, contracts: list[TableContract],
          before: Report | None = None) -> tuple[list[str], Report | None]:
    """What differs between the program and the oracle, nothing if they agree; and the report, which may
    follow the one before."""
    answer = oracle.answer(run.config, run.as_of)
    environment = {**os.environ, **dict(run.environment)}
    command = run.command(program)
    follows = before if run.causes is not None else None
    if follows is not None:
        command += ["--follows", follows.run_id]
    done = subprocess.run(command, capture_output=True, text=True, env=environment,
                          timeout=TIMEOUT_S, check=False)
    if done.returncode != answer.exit_code:
        reason = f"{answer.rejected} rejected rows, {answer.max_rejected} allowed"
        return [
            f"exit code: oracle {answer.exit_code} ({reason}), program {done.returncode}",
            *("  " + line for line in done.stderr.strip().splitlines()[-8:]),
        ], None
    if answer.exit_code != 0:
        return [], None
    try:
        line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        folder = Path(str(line["tables"]).removeprefix("file://"))
        lines = totals_differences(answer.tables["scope_summary"], line["totals"])
        if line["verdict"] != "complete":
            lines.append(f"verdict: oracle complete, program {line['verdict']}")
    except (IndexError, KeyError, ValueError) as e:
        return [f"the last line on stdout is not as promised: {e!r}: {done.stdout[-300:]!r}"], None
    for contract in contracts:
        found = folder / f"{contract.name}.parquet"
        if follows is None:
            lines += differences(contract, answer.tables[contract.name], found)
        elif contract.name == changes.LOG:
            lines += changes.differences(contracts, follows.answer.tables, answer.tables, found,
                                         set(run.causes or ()))
        else:
            about = {column for table, column in changes.ABOUT_CHANGES if table == contract.name}
            lines += differences(contract, answer.tables[contract.name], found, about)
    return lines, Report(line["run_id"], answer)
