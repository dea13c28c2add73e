"""The files of a source: which, in which order, below which partitions."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mapping.settings import Source

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class LogFile:
    path: Path
    partitions: dict[str, str | None]


def of_source(folder: Path, source: Source) -> list[LogFile]:
    """All Parquet files of the source in the order of their names."""
    url = source.url.removeprefix("file://")
    if any(c in url for c in "*?["):
        paths = [Path(p) for p in glob.glob(str(folder / url), recursive=True)]
    elif (folder / url).is_dir():
        paths = list((folder / url).rglob("*.parquet"))
    else:
        paths = [folder / url]
    ordered = sorted((p for p in paths if p.is_file()), key=lambda p: str(p).encode())
    return [LogFile(path, partitions(path)) for path in ordered]


def partitions(path: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for part in path.parent.parts:
        name, equals, value = part.partition("=")
        if equals:
            found[unquote(name)] = None if value == HIVE_NULL else unquote(value)
    return found
