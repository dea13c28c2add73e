"""Makes what Superset imports: a DuckDB file with a view of each published table, and the dashboard as a zip.

    bundle.py out/latest --database /srv/superset/afterscope.duckdb --bundle afterscope-dashboard.zip

The views name the tables' files by their full path and hold no rows: what the next run publishes there is what
they show. Needs the package `duckdb` in the version that Superset has. docs/superset.md says how it is used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import duckdb

DASHBOARD = Path(__file__).resolve().parent / "dashboard"
#: Stands in the exported connection in place of the DuckDB file.
PLACEHOLDER = "duckdb:////path/to/afterscope.duckdb"
#: Superset's workers open the file at the same time, which DuckDB allows only those who read.
READ_ONLY = "?access_mode=read_only"

#: `row_limit` of the charts: the most that Superset gives, unless its SQL_MAX_ROW says otherwise.
MOST_ROWS = 100_000

#: The columns that the charts read, by table (docs/tables.md).
NEEDED: Mapping[str, tuple[str, ...]] = {
    "scope_summary": (
        "grain",
        "scope",
        "subjects_observed",
        "subjects_upper_bound",
        "upper_bound_complete",
        "verdict",
    ),
    "daily_timeline": ("grain", "scope", "day", "requests_allowed"),
    "app_scope_exposure": (
        "grain",
        "app_id",
        "app_name",
        "developer_name",
        "requests_allowed",
        "requests_after_grace",
        "requests_after_attestation",
        "subjects_observed",
        "verdict",
    ),
    "deletion_verification": ("app_id", "app_name", "developer_name", "scope", "attested_at", "verdict"),
}

#: One row for each app with use or a promise of deletion: an app that promised and never called is in only one of
#: the two tables, and must not be missing here. An app may have promised more than once.
APPS = """
CREATE VIEW apps_after_restriction AS
WITH used AS (SELECT * FROM app_scope_exposure WHERE grain = 'app'),
promised AS (
    SELECT app_id, any_value(app_name) AS app_name, any_value(developer_name) AS developer_name,
           string_agg(scope || ': ' || verdict, '; ' ORDER BY scope, attested_at) AS deletion
    FROM deletion_verification
    GROUP BY app_id
)
SELECT coalesce(used.app_id, promised.app_id) AS app_id,
       coalesce(used.app_name, promised.app_name) AS app_name,
       coalesce(used.developer_name, promised.developer_name) AS developer_name,
       used.requests_allowed, used.requests_after_grace, used.requests_after_attestation,
       used.subjects_observed, promised.deletion, used.verdict
FROM used FULL JOIN promised ON used.app_id = promised.app_id
"""


class Refused(Exception):
    """What cannot be used, and what to do about it."""


def quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark + mark) + mark


def table_files(folder: Path) -> dict[str, Path]:
    """The Parquet file of each table in the folder, by the table's name.

    Raises `Refused` where the folder does not hold the tables that the charts read.
    """
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder. Give the folder latest/ of the output, or runs/<run_id>/tables/")
    # DuckDB reads these as a pattern of names, and the view would show other files.
    if any(mark in str(folder) for mark in "*?["):
        raise Refused(f"{folder}: a path with * ? or [ cannot be given to DuckDB. Name the folder without them")
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise Refused(
            f"{folder}: {len(missing)} of the {len(NEEDED)} tables that the charts read are not there: "
            f"{', '.join(f'{name}.parquet' for name in missing)}. "
            "Give the folder latest/ of the output, or runs/<run_id>/tables/"
        )
    return files


def add_views(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path]) -> None:
    """Views of the tables, and that of the apps. Raises `Refused` where a chart would lack a column."""
    for name, path in files.items():
        source = f"read_parquet({quoted(str(path), chr(39))})"
        try:
            connection.execute(f"CREATE VIEW {quoted(name, chr(34))} AS SELECT * FROM {source}")
        except duckdb.Error as error:
            raise Refused(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        columns = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        missing = [column for column in NEEDED.get(name, ()) if column not in columns]
        if missing:
            raise Refused(
                f"{path}: the charts read columns that this table lacks: {', '.join(missing)}. "
                "Use the dashboard of the same version of afterscope as the run's"
            )
    connection.execute(APPS)


def warn_of_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Superset leaves out what is above its limit, and a chart does not say so."""
    for view, where in (("daily_timeline", "grain = 'scope'"), ("apps_after_restriction", "true")):
        (rows,) = connection.execute(f"SELECT count(*) FROM {view} WHERE {where}").fetchone() or (0,)
        if rows > MOST_ROWS:
            print(
                f"warning: {view} has {rows} rows, of which the charts show {MOST_ROWS}: raise SQL_MAX_ROW "
                "of Superset and row_limit of the chart",
                file=sys.stderr,
            )


def write_database(files: Mapping[str, Path], database: Path) -> None:
    """The DuckDB file with the views, in one step: who has the old one open goes on reading it.

    Raises `Refused` where the tables or the path cannot be used.
    """
    # SQLAlchemy takes what follows a question mark for settings.
    if "?" in str(database):
        raise Refused(f"{database}: Superset cannot open a path with ? in it. Give --database another one")
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=f".{database.name}-") as scratch:
        fresh = Path(scratch) / database.name
        with duckdb.connect(str(fresh)) as connection:
            add_views(connection, files)
            warn_of_rows(connection)
        os.replace(fresh, database)


def write_bundle(database: Path, bundle: Path) -> None:
    """The dashboard as Superset imports it, with the connection to this DuckDB file."""
    found = 0
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(DASHBOARD.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            found += text.count(PLACEHOLDER)
            # A string of JSON is one of YAML too, whatever the path has in it.
            text = text.replace(PLACEHOLDER, json.dumps(f"duckdb:///{database}{READ_ONLY}", ensure_ascii=False))
            packed.writestr(f"afterscope/{path.relative_to(DASHBOARD).as_posix()}", text)
    if found != 1:
        bundle.unlink()
        raise Refused(f"{DASHBOARD}: {PLACEHOLDER} stands there {found} times instead of once. Restore the folder")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, help="folder of the published tables: latest/ of the output")
    parser.add_argument(
        "--database", type=Path, required=True, help="DuckDB file to write, where Superset reads it"
    )
    parser.add_argument("--bundle", type=Path, required=True, help="zip to write, to be imported into Superset")
    given = parser.parse_args()
    try:
        files = table_files(given.tables.resolve())
        database = given.database.resolve()
        write_database(files, database)
        write_bundle(database, given.bundle)
    except (Refused, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{database}: {len(files)} tables as views, and apps_after_restriction\n{given.bundle}: import this")
    return 0


if __name__ == "__main__":
    sys.exit(main())
