"""The windows of a rollout file: days and times of day as people write them."""

import re
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from coalmine.policies import Day, Window, is_zone

from ..suggest import did_you_mean, one_of
from .part import Part, entry
from .units import quoted

__all__ = ["WindowPart", "format_days", "format_time", "in_words"]

TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
"""A time of day; 24:00 is its end."""

WORDS = [day.value for day in Day]
DAY = "|".join(WORDS)
DAYS = re.compile(f"(?:{DAY})(?:-(?:{DAY}))?")


def minute_of_day(written: object) -> int:
    """Return the minutes since midnight, so 540 for `09:00`; raise ValueError for anything else."""
    text = str(written)
    if TIME.fullmatch(text) is None:
        hour = re.fullmatch(r"(\d{1,2})(?::(\d{2}))?", text)
        meant = f"{int(hour[1]):02}:{hour[2] or '00'}" if hour and int(hour[1]) < 24 else "09:00"
        raise ValueError(f"{quoted(written)} is not a time of day; write {meant if TIME.fullmatch(meant) else '09:00'}")
    return int(text[:2]) * 60 + int(text[3:])


def format_time(minute: int) -> str:
    """Return a minute of the day as `minute_of_day` reads it back."""
    return f"{minute // 60:02}:{minute % 60:02}"


def days_of(written: object) -> tuple[Day, ...]:
    """Return the days of `mon`, `mon-fri`, `fri-mon` or a list of such, in the order of the week."""
    found: set[str] = set()
    for item in written if isinstance(written, list) else [written]:
        if not isinstance(item, str) or DAYS.fullmatch(item) is None:
            raise ValueError(f"{one_of(quoted(item), WORDS)} (or a range such as mon-fri, or a list)")
        first, _, last = item.partition("-")
        begin, end = WORDS.index(first), WORDS.index(last or first)
        found |= {WORDS[index % 7] for index in range(begin, end + 1 + (7 if end < begin else 0))}
    return tuple(day for day in Day if day.value in found)


def format_days(some: tuple[Day, ...]) -> str | list[str]:
    """Return days as `days_of` reads them back: a range where they are one."""
    indexes = [WORDS.index(day.value) for day in some]
    if len(some) > 1 and indexes == list(range(indexes[0], indexes[0] + len(some))):
        return f"{some[0].value}-{some[-1].value}"
    return some[0].value if len(some) == 1 else [day.value for day in some]


def in_words(window: Window) -> str:
    """Return a window for people: `mon-fri 09:00 to 17:00 Europe/Berlin`."""
    days = format_days(window.days)
    text = days if isinstance(days, str) else ", ".join(days)
    return f"{text} {format_time(window.opens_minute)} to {format_time(window.closes_minute)} {window.zone}"


def known_zone(written: str) -> str:
    """Return the name of a time zone; a plan must mean the same hours on every machine that reads it."""
    if not is_zone(written):
        near = did_you_mean(written, available_timezones())
        raise ValueError(f"{quoted(written)} is no time zone that this machine knows{near or '; write Europe/Berlin'}")
    return written


TIME_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^(?:{TIME.pattern})$", "examples": ["09:00"]})
ONE_DAY = {"type": "string", "pattern": f"^(?:{DAYS.pattern})$", "examples": ["mon-fri"]}
DAYS_SCHEMA = WithJsonSchema({"anyOf": [ONE_DAY, {"type": "array", "items": ONE_DAY, "minItems": 1}]})
TimeOfDay = Annotated[int, BeforeValidator(minute_of_day), TIME_SCHEMA]


class WindowPart(Part):
    """Hours in which automation may move up; outside them it waits. Rollback and people know no hours."""

    days: Annotated[tuple[Day, ...], BeforeValidator(days_of), Field(min_length=1), DAYS_SCHEMA] = entry(
        "a day, a range or a list of them", "mon-sun"
    )
    opens: TimeOfDay = entry("from this time of day", "00:00", alias="from")
    closes: TimeOfDay = entry("to before this one; 24:00 is the end of the day", "24:00", alias="to")
    zone: Annotated[str, AfterValidator(known_zone)] = entry("whose time it is, such as Europe/Berlin")

    @field_validator("closes")
    @classmethod
    def closes_after_it_opens(cls, closes: int, info: ValidationInfo) -> int:
        """Refuse a window that has no minute, or that would end on another day."""
        opens = info.data.get("opens", 0)
        if closes <= opens:
            raise ValueError(
                f"{format_time(closes)} is not after {format_time(opens)}; a window ends on the day it begins, "
                "so write two for a night"
            )
        return closes

    def value(self) -> Window:
        """Return it for the plan."""
        return Window(days=self.days, opens_minute=self.opens, closes_minute=self.closes, zone=self.zone)
