"""The departures of January to May 2013 from the airports of New York, as requests and as the truth about them.

Each departure asks, at the moment the aircraft leaves the gate: will it arrive more than 15 minutes late? The
answer is known when it has landed; a diverted flight never tells. Times are those of the clocks in New York taken
as UTC, so a day of the data is a day of the screen; the hour that daylight saving skips has no departures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EPOCH",
    "FLIGHTS_FILE",
    "LATE_MINUTES",
    "NEVER_LANDS",
    "STREAM_START",
    "Departure",
    "Flights",
    "Landing",
    "departures",
    "landings",
    "load",
]

FLIGHTS_FILE = Path(__file__).with_name("flights.npz")
"""The extract that `build` writes."""

EPOCH = datetime(2013, 1, 1)
"""The minutes of the extract count from here."""

NEVER_LANDS = -32768
"""`arr_delay` of a diverted flight: its label never comes."""

LATE_MINUTES = 15
"""An arrival is late when it is more than this after the schedule; the usual definition of airlines."""

STREAM_START = date(2013, 3, 1)
"""Departures before this day train the models, the others are streamed."""

_MINUTE_MS = 60_000
_EPOCH_MS = int(EPOCH.replace(tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Departure:
    """One request: `key` is the tail number of the aircraft, `ts` the departure in epoch ms."""

    id: str
    key: str
    ts: int
    features: dict[str, float | str]
    segment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Landing:
    """The truth about the departure `id`, known at `ts` (epoch ms)."""

    id: str
    ts: int
    late: bool


@dataclass(frozen=True, slots=True)
class Flights:
    """Departed flights as columns, in order of actual departure (of schedule where that is equal).

    Times are epoch ms, `block` (scheduled, gate to gate), `dep_delay` and `arr_delay` minutes, `distance` miles,
    `hour` that of the schedule; `arr_delay` is -32768 and `landed` False for flights that were diverted.
    """

    scheduled: NDArray[np.int64]
    departed: NDArray[np.int64]
    arrived: NDArray[np.int64]
    landed: NDArray[np.bool_]
    flight: NDArray[np.int64]
    distance: NDArray[np.int64]
    hour: NDArray[np.int64]
    block: NDArray[np.int64]
    dep_delay: NDArray[np.int64]
    arr_delay: NDArray[np.int64]
    carrier: NDArray[np.str_]
    origin: NDArray[np.str_]
    dest: NDArray[np.str_]
    tailnum: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.departed)

    @property
    def late(self) -> NDArray[np.bool_]:
        """Whether each flight arrived late; False where it never landed."""
        return self.landed & (self.arr_delay > LATE_MINUTES)

    def between(self, start: date, end: date = date.max) -> "Flights":
        """Return the flights that departed on `start` or later and before `end`."""
        first, last = np.searchsorted(self.departed, [_midnight_ms(start), _midnight_ms(end)])
        return self.at(np.arange(first, last))

    def at(self, rows: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> "Flights":
        """Return the flights at the indices (or where the mask) `rows`."""
        return Flights(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})


def load() -> Flights:
    """Return all flights of the extract; takes about 0.1 s."""
    with np.load(FLIGHTS_FILE, allow_pickle=False) as extract:
        columns = {name: extract[name] for name in extract.files}
    order = np.argsort(_departed(columns), kind="stable")
    return _flights(columns).at(order)


def departures(flights: Flights) -> Iterator[Departure]:
    """Yield the requests of `flights` in order of departure."""
    numbers = np.column_stack([flights.distance, flights.hour, flights.block, flights.dep_delay]).tolist()
    names = np.column_stack([flights.carrier, flights.origin, flights.dest, flights.tailnum]).tolist()
    stamps = flights.departed.tolist()
    for id_, ts, number, name in zip(_ids(flights), stamps, numbers, names, strict=True):
        distance, hour, block, dep_delay = number
        carrier, origin, dest, tailnum = name
        yield Departure(
            id=id_,
            key=tailnum,
            ts=ts,
            features={
                "distance": distance,
                "hour": hour,
                "block": block,
                "dep_delay": dep_delay,
                "carrier": carrier,
                "origin": origin,
                "dest": dest,
                "tailnum": tailnum,
            },
            segment={"origin": origin, "carrier": carrier},
        )


def landings(flights: Flights) -> Iterator[Landing]:
    """Yield the truth about `flights` in order of landing; nothing for those that never landed."""
    landed = flights.at(flights.landed)
    landed = landed.at(np.argsort(landed.arrived, kind="stable"))
    for id_, ts, late in zip(_ids(landed), landed.arrived.tolist(), landed.late.tolist(), strict=True):
        yield Landing(id=id_, ts=ts, late=late)


def _ids(flights: Flights) -> Iterator[str]:
    """Yield a name for each flight: carrier, number and scheduled departure, unique in the year."""
    for carrier, flight, ms in zip(
        flights.carrier.tolist(), flights.flight.tolist(), flights.scheduled.tolist(), strict=True
    ):
        yield f"{carrier}{flight}-{datetime.fromtimestamp(ms / 1000, UTC):%Y%m%d-%H%M}"


def _departed(columns: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    scheduled = np.cumsum(columns["sched_step"], dtype=np.int64)
    return scheduled + columns["dep_delay"].astype(np.int64)


def _flights(columns: dict[str, NDArray[Any]]) -> Flights:
    scheduled = np.cumsum(columns["sched_step"], dtype=np.int64)
    departed = _departed(columns)
    block, dep_delay, arr_delay = (columns[name].astype(np.int64) for name in ("block", "dep_delay", "arr_delay"))
    return Flights(
        scheduled=_EPOCH_MS + scheduled * _MINUTE_MS,
        departed=_EPOCH_MS + departed * _MINUTE_MS,
        # The schedule says how long it takes; arriving later than leaving late explains is what it took on top.
        arrived=_EPOCH_MS + (scheduled + block + arr_delay) * _MINUTE_MS,
        landed=arr_delay != NEVER_LANDS,
        flight=columns["flight"].astype(np.int64),
        distance=columns["distance"][columns["origin"], columns["dest"]].astype(np.int64),
        hour=scheduled // 60 % 24,
        block=block,
        dep_delay=dep_delay,
        arr_delay=arr_delay,
        **{name: columns[f"{name}_names"][columns[name]] for name in ("carrier", "origin", "dest", "tailnum")},
    )


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
