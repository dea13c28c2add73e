"""Reads every table of the public corpora with `afterscope inspect` and compares its rows.

Rows are compared with what the corpus itself says that the table holds (`expected`), else with another
reader's: the deltalake package's for Delta tables. A table must read so, or be refused by name.

    check.py --program PROGRAM --corpora FOLDER [--write FILE | --check FILE] [--only TEXT]

Prints docs/conformance.md, writes it, or compares it; exits 1 where a table reads otherwise than it should,
or the file is another.
"""

import argparse
import dataclasses
import decimal
import difflib
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import typing

import pyarrow as pa
import pyarrow.parquet as pq


# What the corpus says of its file, where other readers say otherwise: microseconds.
KNOWN = {
    "parquet/data/int96_from_spark.parquet": (
        pa.table(
            {
                "a": pa.array(
                    [
                        1704141296123456,
                        1704070800000000,
                        253402225200000000,
                        1735599600000000,
                        None,
                        9089380393200000000,
                    ],
                    pa.timestamp("us"),
                )
            }
        ),
        "the values that the corpus names",
    )
}

# Of the damaged files one that holds nothing wrong: its makers keep it for a reader that failed on it, and
# Arrow for Python and DuckDB read it as this program does.
SOUND = {"parquet/bad_data/ARROW-GH-43605.parquet"}

ABOUT = """# Conformance

What `afterscope inspect` gives of tables and files that others made: the public test data of Delta Lake's
kernel, of DuckDB's Iceberg extension and of Apache Parquet. Rows are compared one by one, whatever their
order, with the types that Arrow gives them; a table that the program does not read is refused by name, never
in part. `make conformance` writes this page, with `AFTERSCOPE_CORPORA` naming the folder that holds the
tables; a test holds it.

| table | features | outcome | compared with |
|---|---|---|---|
"""

# Partition values that are times without a zone: their writer's, by what the corpus expects.
ZONES = {"delta_golden/data-reader-partition-values": "America/Los_Angeles"}


def plain(value):
    """A value that compares by what it means, whatever type of Arrow it came in."""
    if isinstance(value, dict):
        return tuple(sorted((name, plain(part)) for name, part in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(plain(part) for part in value)
    if isinstance(value, float):
        if math.isnan(value):
            return ("number", "nan")
        return ("number", repr(value))
    if isinstance(value, decimal.Decimal):
        return ("decimal", str(value))
    return (type(value).__name__, repr(value))


def in_micros(table):
    """Times as whole numbers: Python's have no nanoseconds, and end in the year 9999."""

    def mapped(change):
        def of(kind):
            if pa.types.is_timestamp(kind):
                return change(kind)
            if pa.types.is_struct(kind):
                return pa.struct([pa.field(part.name, of(part.type)) for part in kind])
            if pa.types.is_list(kind) or pa.types.is_large_list(kind):
                return pa.list_(of(kind.value_type))
            if pa.types.is_map(kind):
                return pa.map_(of(kind.key_type), of(kind.item_type))
            return kind

        return of

    micros = mapped(lambda kind: pa.timestamp("us", tz=kind.tz))
    for step in (micros, mapped(lambda _: pa.int64())):
        fields = [pa.field(field.name, step(field.type)) for field in table.schema]
        table = table.cast(pa.schema(fields), safe=False)
    return table


def rows_of(table):
    """Column names, and rows as a sorted list."""
    table = in_micros(table)
    columns = [[plain(value) for value in column.to_pylist(maps_as_pydicts=None)] for column in table.columns]
    rows = list(zip(*columns)) if columns else [()] * table.num_rows
    return table.column_names, sorted(rows, key=repr)


def difference(ours, theirs):
    """`None` where both hold the same columns and rows."""
    (names, rows), (wanted_names, wanted) = rows_of(ours), rows_of(theirs)
    if sorted(names) != sorted(wanted_names):
        return f"columns {names}, and {wanted_names} there"
    order = [names.index(name) for name in wanted_names]
    rows = sorted((tuple(row[i] for i in order) for row in rows), key=repr)
    if rows == wanted:
        return None
    ours_only = [row for row in rows if row not in wanted][:2]
    theirs_only = [row for row in wanted if row not in rows][:2]
    return f"{len(rows)} rows, {len(wanted)} there; only here {ours_only}, only there {theirs_only}"


class Program:
    def __init__(self, path):
        self.path = path

    def run(self, *args):
        # One file is two texts of a gigabyte each.
        command = [self.path, "inspect", "--memory-limit", "2GB", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def rows(self, source, *more):
        """The rows, or why there are none."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "rows.parquet"
            code, _, errors = self.run(source, "--rows", "all", "--output", out, "--quiet", *more)
            if code != 0:
                return None, (code, errors)
            return pq.read_table(out), None

    def look(self, source):
        code, out, _ = self.run(source, "--json")
        return json.loads(out) if code == 0 else {}


def expected(folder):
    files = sorted(folder.rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(file, partitioning=None) for file in files], promote_options="default")


def by_deltalake(source):
    """The rows by the deltalake package, or why it gives none."""
    import deltalake

    try:
        table = deltalake.DeltaTable(str(source))
        reader = deltalake.QueryBuilder().register("t", table).execute("select * from t")
        return pa.table(reader.read_all()), None
    except BaseException as error:  # Its panics are no Exceptions.
        return None, " ".join(str(error).split())[:80]


def by_pyiceberg(source, metadata):
    """The rows of an Iceberg table by pyiceberg, wherever the table was moved to, or why it gives none."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.serializers import FromInputFile
    from pyiceberg.table import StaticTable

    class Moved(PyArrowFileIO):
        def new_input(self, location):
            for part in ("/metadata/", "/data/"):
                if part in location and not location.startswith(str(source)):
                    location = str(source) + part + location.rsplit(part, 1)[1]
            return super().new_input(location)

    try:
        files = Moved()
        content = FromInputFile.table_metadata(files.new_input(str(metadata)))
        table = StaticTable(("table",), content, str(metadata), files, NoopCatalog("none"))
        return table.scan().to_arrow(), None
    except Exception as error:
        return None, " ".join(str(error).split())[:80]


def by_pyarrow(source):
    """The rows by Arrow for Python, or why it gives none."""
    try:
        return pq.read_table(source, partitioning=None, coerce_int96_timestamp_unit="us"), None
    except Exception as error:
        return None, " ".join(str(error).split())[:80]


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def shown(text, source, corpora):
    """An error of the program, without places of this machine."""
    text = text.replace(str(source), "the table").replace(str(corpora), "")
    return cell(text.removeprefix("error: ").splitlines()[0])


class Report:
    def __init__(self):
        self.lines = []
        self.failures = []

    def add(self, table, features, outcome, beside):
        self.lines.append((table, features, outcome, beside))

    def fail(self, table, why):
        self.failures.append(f"{table}: {why}")


@dataclasses.dataclass
class Case:
    """A table or file, and what its rows are compared with."""

    name: str
    source: pathlib.Path
    # Gives the rows and who says so, or no rows and why there are none.
    beside: typing.Callable
    # A time zone to read it with.
    zone: str | None = None
    # Whether it may be refused for another reason than a feature that is unsupported.
    may_be_damaged: bool = False
    # Whether its rows must not be read.
    is_damaged: bool = False
    # Whether it is a table, which has features.
    is_table: bool = True


def other(reader, *args):
    """Another reader's rows, and its name."""
    by, name = reader
    rows, why = by(*args)
    return rows, name if rows is not None else f"{name} gives none: {cell(why)}"


DELTALAKE = (by_deltalake, "deltalake")
PYICEBERG = (by_pyiceberg, "pyiceberg")
PYARROW = (by_pyarrow, "Arrow for Python")


def delta(corpora):
    for folder in ("delta_golden", "delta", "delta_more"):
        for log in sorted((corpora / folder).rglob("_delta_log")):
            source = log.parent
            name = str(source.relative_to(corpora)).removesuffix("/delta")
            is_golden = folder == "delta_golden"
            if is_golden:
                beside = lambda place=corpora / name: (expected(place / "expected"), "`expected` of the corpus")
            else:
                beside = lambda source=source: other(DELTALAKE, source)
            # Some of the others have no whole log.
            yield Case(name, source, beside, zone=ZONES.get(name), may_be_damaged=not is_golden)


def iceberg(corpora):
    """Tables by their folders."""
    for folder in sorted((corpora / "iceberg").rglob("metadata")):
        source = folder.parent
        # Versions count up, as numbers of the same length or shorter.
        files = [file for file in folder.glob("*.metadata.json") if not file.name.startswith(".")]
        newest = max(files, key=lambda file: file.name)
        beside = lambda source=source, newest=newest: other(PYICEBERG, source, newest)
        yield Case(str(source.relative_to(corpora)), source, beside)


def parquet(corpora):
    """Single files: what is whole reads, and what is damaged or encrypted is refused by name."""
    for source in sorted((corpora / "parquet").rglob("*.parquet*")):
        name = str(source.relative_to(corpora))
        beside = lambda name=name, source=source: KNOWN.get(name) or other(PYARROW, source)
        is_damaged = "bad_data" in name and name not in SOUND
        yield Case(name, source, beside, may_be_damaged=True, is_damaged=is_damaged, is_table=False)


def check(report, program, corpora, case):
    rows, problem = program.rows(case.source, *(["--zone", case.zone] if case.zone else []))
    if problem:
        code, errors = problem
        if code not in (1, 3) or not errors.startswith("error: "):
            report.fail(case.name, f"exit code {code}: {errors}")
        elif not case.may_be_damaged and "unsupported" not in errors:
            report.fail(case.name, errors)
        report.add(case.name, "", f"refused (exit {code}): {shown(errors, case.source, corpora)}", "")
        return
    if case.is_damaged:
        report.fail(case.name, f"damaged, and {rows.num_rows} rows are read")
    features, outcome = "", f"{rows.num_rows} rows"
    if case.is_table:
        seen = program.look(case.source)
        features = ", ".join(seen["features"])
        if not seen["files_of_other_size"] and seen["rows"] != rows.num_rows:
            report.fail(case.name, f"{seen['rows']} rows are counted and {rows.num_rows} written")
        if seen["files_of_other_size"]:
            outcome += f", {seen['files_of_other_size']} files of another size than the table says: a run refuses it"
    if case.zone:
        outcome += f", with --zone {case.zone}"
    wanted, beside = case.beside()
    differs = difference(rows, wanted) if wanted is not None else None
    if differs:
        report.fail(case.name, differs)
    report.add(case.name, features, outcome, beside)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--corpora", type=pathlib.Path, required=True)
    arguments.add_argument("--write", type=pathlib.Path)
    arguments.add_argument("--check", type=pathlib.Path)
    arguments.add_argument("--only", default="")
    options = arguments.parse_args()
    report = Report()
    program, corpora = Program(options.program), options.corpora.resolve()
    for case in itertools.chain(delta(corpora), iceberg(corpora), parquet(corpora)):
        if options.only in case.name:
            check(report, program, corpora, case)
    text = ABOUT + "".join("| " + " | ".join(line) + " |\n" for line in report.lines)
    if options.write:
        options.write.write_text(text)
    elif options.check:
        if options.check.read_text() != text:
            lines = difflib.unified_diff(options.check.read_text().splitlines(), text.splitlines(), lineterm="")
            report.fail(options.check.name, "is another: " + "\n".join(lines))
    else:
        print(text, end="")
    for failure in report.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(f"{len(report.lines) - len(report.failures)} passed, {len(report.failures)} failed", file=sys.stderr)
    sys.exit(1 if report.failures else 0)


main()
