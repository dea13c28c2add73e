"""Runs queries/oracle/ in DuckDB over the mapped rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pyarrow as pa

import contract as contracts_of
from contract import QUERIES, ColumnContract, TableContract
from mapping import registry as registries
from mapping import rows as mapped
from mapping import people
from mapping import settings as configuration
from mapping.moments import parse_setting, zone_named

# Rows of an answer's input.
SMALL = 20_000

SHARED = ("00_events.sql", "10_measures.sql")


class Oracle:
    """One DuckDB connection for any number of lakes."""

    def __init__(self, contracts: list[TableContract], threads: int = 1) -> None:
        self.contracts = contracts
        self.people = contracts_of.people()
        self.connection = duckdb.connect(config={"threads": threads})
        self.connection.execute("SET TimeZone = 'UTC'")
        folder = QUERIES / "oracle"
        self.shared = [(folder / name).read_text(encoding="utf-8") for name in SHARED]
        self.queries = {
            c.name: (folder / f"{c.name}.sql").read_text(encoding="utf-8")
            for c in [*contracts, self.people]
        }

    def answer(self, config: Path, as_of: str) -> Answer:
        settings = configuration.load(config)
        registry = registries.load(settings)
        known = people.load(settings)
        rows = mapped.read(settings, registry)
        given = views(settings, registry, known, rows, as_of)
        # Of few rows a query takes longer to plan well than to run as it is written.
        is_small = sum(table.num_rows for table in given.values()) < SMALL
        self.connection.execute(f"PRAGMA {'disable' if is_small else 'enable'}_optimizer")
        for name, table in given.items():
            self.connection.register(f"arrow_{name}", table)
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM arrow_{name}")
            self.connection.unregister(f"arrow_{name}")
        # Decimals carry nanoseconds out of Arrow; the SQL counts in whole numbers.
        self.connection.execute("ALTER TABLE raw_rows ALTER time TYPE HUGEINT")
        for script in self.shared:
            self.connection.execute(script)
        rejected = self.connection.execute(
            "SELECT count(*) FROM terms WHERE term = 'rejected'"
        ).fetchall()
        return Answer(
            rejected=rejected[0][0],
            max_rejected=settings.max_rejected_rows,
            tables={c.name: self.table(c) for c in self.contracts},
        )

    def choices(self) -> list[tuple[list[str], list[str]]]:
        """Scopes and apps that a list of people may be asked for, after `answer`; none means all."""
        found = self.connection.execute(
            "SELECT min(scope), max(scope), min(app), max(app) FROM hits WHERE exercised"
        ).fetchall()[0]
        scopes, apps = ([name for name in pair if name is not None] for pair in
                        (found[:2], found[2:]))
        return [([], []), (scopes[:1], []), ([], apps[:1]), (scopes[1:], apps[1:]), (scopes, apps)]

    def listed(self, scopes: list[str], apps: list[str]) -> pa.Table:
        """The list of people, after `answer`."""
        for name, chosen in (("chosen_scopes", scopes), ("chosen_apps", apps)):
            rows = table([(c,) for c in chosen], name=pa.string())
            self.connection.register(f"arrow_{name}", rows)
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM arrow_{name}")
            self.connection.unregister(f"arrow_{name}")
        return self.table(self.people)

    def table(self, contract: TableContract) -> pa.Table:
        """A table in the shape that the contract gives."""
        found = self.connection.sql(self.queries[contract.name]).to_arrow_table()
        arrays = [shaped(found, column) for column in contract.columns]
        unknown = set(found.column_names) - {c.name for c in contract.columns}
        if unknown:
            raise ValueError(f"{contract.name}: the header does not declare {sorted(unknown)}")
        return pa.table(arrays, names=[c.name for c in contract.columns])


class Answer:
    """What the oracle expects of a run."""

    def __init__(self, rejected: int, max_rejected: int, tables: dict[str, pa.Table]) -> None:
        self.rejected = rejected
        self.max_rejected = max_rejected
        # docs/counting.md, rule 11.
        self.exit_code = 3 if rejected > max_rejected else 0
        self.tables = tables


def shaped(found: pa.Table, column: ColumnContract) -> pa.Array | pa.ChunkedArray:
    if column.always_null:
        return pa.nulls(found.num_rows, column.type)
    return found.column(column.name).cast(column.type)


def views(settings: configuration.Settings, registry: registries.Registry, known: people.People,
          rows: mapped.Rows, as_of: str) -> dict[str, pa.Table]:
    text, count, moment = pa.string(), pa.int64(), pa.int64()
    expected = [s.expected for s in settings.sources]
    return {
        "params": table([(parse_setting(as_of, "UTC"), settings.lookback_days,
                          settings.groups_limit, registry.grants is not None,
                          registry.brownouts is not None, registry.attestations is not None,
                          known.memberships is not None, known.residency is not None,
                          known.person_space, known.group_space)],
                        as_of=moment, lookback_days=count, groups_limit=count,
                        has_grants=pa.bool_(), has_brownouts=pa.bool_(),
                        has_attestations=pa.bool_(), has_memberships=pa.bool_(),
                        has_residency=pa.bool_(), people_space=text, members_space=text),
        "memberships": table(known.memberships or [], group_id=text, subject=text, begins=moment,
                             ends=moment),
        "residency": table(known.residency or [], subject=text, country=text, subdivision=text,
                           category=text, known_at=moment),
        "rules": table(registry.thresholds, regime=text, jurisdiction=text, operator=text,
                       number=count, clock=text, limit_units=count, unit=text, source=text),
        "incident": table(
            [(clock, at, local_date(at, settings.registry_zone))
             for clock, at in settings.incident.items()],
            clock=text, at=moment, local_date=pa.date32()),
        "scopes": table(registry.scopes, scope=text, restricted_at=moment,
                        data_fields=pa.list_(text), special_fields=pa.list_(text)),
        "apps": table(registry.apps, app_id=text, app_name=text, developer_id=text,
                      developer_name=text),
        "extensions": table(registry.extensions, app_id=text, scope=text, grace_until=moment),
        "grant_rows": table(registry.grants or [], app_id=text, scope=text, granted_at=moment,
                            revoked_at=moment, known_at=moment),
        "brownouts": table(registry.brownouts or [], scope=text, app_id=text, begins=moment,
                           ends=moment),
        "attestations": table(registry.attestations or [], app_id=text, scope=text,
                              asked_at=moment, attested_at=moment, statement=text),
        "sources": table(
            [
                (s.name, n, *(role in s.columns for role in ("subject", "event_id", "status",
                                                          "fields")),
                 e.first if e else None,
                 e.until_ns if e else None, e.grace_ns if e else None)
                for n, (s, e) in enumerate(zip(settings.sources, expected))
            ],
            source=text, source_no=count, maps_subject=pa.bool_(), maps_event=pa.bool_(),
            maps_status=pa.bool_(), maps_fields=pa.bool_(), expected_from=pa.date32(),
            expected_until=moment, expected_grace=count,
        ),
        "files": table(rows.files, file_no=count, source=text, declared_day=pa.date32(),
                       last_day=pa.date32(), file_day=pa.date32(), has_checksums=pa.bool_()),
        "raw_rows": rows.table(),
    }


def local_date(moment: int, zone: str) -> dt.date:
    utc = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=moment // 1000)
    return utc.astimezone(zone_named(zone)).date()


def table(records: list[tuple], **types: pa.DataType) -> pa.Table:
    columns = list(zip(*records)) or [()] * len(types)
    arrays = [pa.array(list(c), t) for c, t in zip(columns, types.values())]
    return pa.table(arrays, names=list(types))
