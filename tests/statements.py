"""Statements of `query`, asked of DuckDB over the published Parquet files.

    statements.py OUTPUT SAMPLE < STATEMENTS

Reads a JSON list of statements, and writes one of what each gives: its rows, or an error.
"""

import datetime
import decimal
import json
import sys
from pathlib import Path

from analysts import DuckDB, shown


def value(of):
    """A value as JSON has it."""
    if isinstance(of, decimal.Decimal):
        return float(of)
    if isinstance(of, (datetime.date, datetime.datetime)):
        return shown(of)
    return of


def main():
    engine = DuckDB(Path(sys.argv[1]), Path(sys.argv[2]))
    # As PostgreSQL has it, and this program.
    engine.con.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    answers = []
    for sql in json.load(sys.stdin):
        try:
            _, rows = engine.ask(sql, {})
            answers.append({"rows": [[value(of) for of in row] for row in rows]})
        except Exception as error:  # noqa: BLE001: whatever it says is told
            answers.append({"error": str(error)})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
