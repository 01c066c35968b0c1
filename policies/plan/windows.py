"""The hours in which automation may move up, in the local time of people. Rollback knows no hours.

A window is a span of the local day, so what it is in absolute time changes with the clocks: `zoneinfo` knows when. A
span that the clocks jump over does not open that day; one that they repeat opens twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["MINUTES_OF_A_DAY", "MOST_WINDOWS", "Day", "Window", "closed_until", "is_open", "is_zone", "next_opening"]

MINUTES_OF_A_DAY = 1_440

MINUTE_MS = 60_000

MOST_WINDOWS = 20
"""Windows of a plan; they are asked at every look."""

LONGEST_ZONE = 64
"""Characters in the name of a time zone; the longest of the data base has 32."""

DAYS_AHEAD = 15
"""Days in which a window opens again: a week, and one more where the clocks jump over it."""


class Day(Enum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of the local day of `zone` (a name of the IANA data base) on some days.

    From the minute `opens_minute` of the day to before `closes_minute`; 1440 is its end.
    """

    days: tuple[Day, ...]
    opens_minute: int
    closes_minute: int
    zone: str

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("a window has at least one day")
        if not 0 <= self.opens_minute < self.closes_minute <= MINUTES_OF_A_DAY:
            raise ValueError("a window opens before it closes, on the same day")
        if not 0 < len(self.zone) <= LONGEST_ZONE:
            raise ValueError(f"the name of a time zone has at most {LONGEST_ZONE} characters")


def is_zone(name: str) -> bool:
    """Tell whether this machine knows a time zone of that name."""
    return zone_of(name) is not None


def zone_of(name: str) -> ZoneInfo | None:
    """Return a time zone, None for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def is_open(window: Window, ms: int) -> bool:
    """Tell whether a window is open at `ms` (epoch ms); one whose zone is not known here never is."""
    zone = zone_of(window.zone)
    if zone is None:
        return False
    local = datetime.fromtimestamp(ms / 1000, zone)
    minute = local.hour * 60 + local.minute
    return WEEK[local.weekday()] in window.days and window.opens_minute <= minute < window.closes_minute


def next_opening(window: Window, ms: int) -> int | None:
    """Return the first whole minute after `ms` at which a closed window is open (epoch ms), None for never."""
    zone = zone_of(window.zone)
    if zone is None:
        return None
    today = datetime.fromtimestamp(ms / 1000, zone).date()
    for ahead in range(DAYS_AHEAD):
        found = [
            at for at in candidates(window, zone, today + timedelta(days=ahead)) if at > ms and is_open(window, at)
        ]
        if found:
            return min(found)
    return None


def candidates(window: Window, zone: ZoneInfo, day: date) -> Iterator[int]:
    """Yield when a window may open on a local day: at its minute, or at any where the clocks change up to its end."""
    begin, end = instant(day, 0, zone), instant(day + timedelta(days=1), 0, zone)
    if offset(begin, zone) == offset(end, zone):
        yield instant(day, window.opens_minute, zone)
    else:
        yield from range(begin, end + 1, MINUTE_MS)


def instant(day: date, minute: int, zone: ZoneInfo) -> int:
    """Return the epoch ms of a minute of a local day."""
    return int(datetime.combine(day, time(minute // 60, minute % 60), zone).timestamp()) * 1_000


def offset(ms: int, zone: ZoneInfo) -> timedelta | None:
    """Return how far local time is ahead of UTC."""
    return datetime.fromtimestamp(ms / 1000, zone).utcoffset()


def closed_until(windows: Sequence[Window], ms: int) -> str | None:
    """Say until when all windows are closed at `ms` (epoch ms); None where one is open, or there is none at all."""
    if not windows or any(is_open(window, ms) for window in windows):
        return None
    openings = {at: window for window in windows if (at := next_opening(window, ms)) is not None}
    if not openings:
        return f"outside the windows, and none opens again: is {windows[0].zone} a time zone this machine knows?"
    first = min(openings)
    local = datetime.fromtimestamp(first / 1000, UTC).astimezone(ZoneInfo(openings[first].zone))
    return f"outside the windows until {local:%a %Y-%m-%d %H:%M} {openings[first].zone}"
