"""Windows of local time, on the days when the clocks change and on all others."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalmine.policies import Day, Window, closed_until, is_zone
from coalmine.policies.plan.windows import is_open, next_opening

BERLIN = "Europe/Berlin"
MINUTE_MS = 60_000
WORKDAYS = (Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI)
OFFICE = Window(days=WORKDAYS, opens_minute=9 * 60, closes_minute=17 * 60, zone=BERLIN)


def at(text: str, zone: str = BERLIN, fold: int = 0) -> int:
    """Return epoch ms of a local time; `fold` 1 is the second of two equal ones."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1_000)


def window(opens: str, closes: str, zone: str = BERLIN, *days: Day) -> Window:
    """Return a window from `02:00` to `03:00`, on every day if none is named."""
    begin, end = ((int(text[:2]) * 60 + int(text[3:])) for text in (opens, closes))
    return Window(days=days or tuple(Day), opens_minute=begin, closes_minute=end, zone=zone)


@pytest.mark.parametrize(
    ("moment", "is_inside"),
    [
        ("2026-03-02T09:00", True),
        ("2026-03-02T08:59:59", False),
        ("2026-03-02T16:59:59", True),
        ("2026-03-02T17:00", False),
        ("2026-03-07T12:00", False),
    ],
)
def test_a_window_is_open_from_its_first_minute_to_before_its_last(moment: str, is_inside: bool) -> None:
    assert is_open(OFFICE, at(moment)) is is_inside


def test_the_same_local_hour_is_another_one_in_absolute_time_after_the_clocks_changed() -> None:
    before, after = at("2026-03-27T09:00"), at("2026-03-30T09:00")

    assert (is_open(OFFICE, before), is_open(OFFICE, after)) == (True, True)
    assert after - before == (3 * 24 - 1) * 3_600_000


def test_outside_it_says_when_it_opens_across_the_change_of_the_clocks() -> None:
    assert (
        closed_until([OFFICE], at("2026-03-27T17:00")) == "outside the windows until Mon 2026-03-30 09:00 Europe/Berlin"
    )
    assert (
        closed_until([OFFICE], at("2026-10-23T17:00")) == "outside the windows until Mon 2026-10-26 09:00 Europe/Berlin"
    )


def test_the_first_of_several_windows_to_open_is_named() -> None:
    tokyo = window("09:00", "17:00", "Asia/Tokyo")

    assert closed_until([OFFICE, tokyo], at("2026-03-02T20:00")) == (
        "outside the windows until Tue 2026-03-03 09:00 Asia/Tokyo"
    )
    assert closed_until([OFFICE, tokyo], at("2026-03-03T02:00")) is None


def test_without_windows_every_hour_is_good() -> None:
    assert closed_until([], 0) is None


def test_a_window_to_the_end_of_the_day_and_one_from_its_begin_join() -> None:
    night = [window("22:00", "24:00"), window("00:00", "02:00")]

    assert closed_until(night, at("2026-03-02T23:59:59")) is None
    assert closed_until(night, at("2026-03-03T00:00")) is None


def test_a_window_that_the_clocks_jump_over_does_not_open_that_day() -> None:
    jumped = window("02:15", "02:45")

    assert next_opening(jumped, at("2026-03-29T01:59")) == at("2026-03-30T02:15")
    assert not is_open(jumped, at("2026-03-29T03:15"))


def test_a_window_that_begins_in_the_jump_opens_behind_it() -> None:
    assert next_opening(window("02:30", "05:00"), at("2026-03-29T01:59")) == at("2026-03-29T03:00")


def test_a_window_that_the_clocks_repeat_opens_twice() -> None:
    repeated = window("02:15", "02:45")
    second = at("2026-10-25T02:15", fold=1)

    assert next_opening(repeated, at("2026-10-25T01:00")) == at("2026-10-25T02:15")
    assert next_opening(repeated, at("2026-10-25T02:45")) == second
    assert second - at("2026-10-25T02:15") == 3_600_000


CHANGES = {
    "Europe/Berlin": ["2026-03-28", "2026-10-24"],
    "America/New_York": ["2026-03-07", "2026-10-31"],
    "America/Sao_Paulo": ["2018-11-03", "2018-02-16"],
    "Australia/Lord_Howe": ["2026-04-04", "2026-10-03"],
    "Pacific/Apia": ["2011-12-28"],
    "UTC": ["2026-01-01"],
}
"""Days before the clocks change: by an hour, at midnight, by half an hour, by a day, never."""

PLACES = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(PLACES, st.integers(0, 1_439), st.integers(1, 300), st.integers(0, 2 * 1_440))
def test_the_next_opening_is_the_first_minute_that_is_open(
    place: tuple[str, str], opens: int, length: int, since: int
) -> None:
    zone, day = place
    some = Window(days=tuple(Day), opens_minute=opens, closes_minute=min(opens + length, 1_440), zone=zone)
    now = at(day, zone) + since * MINUTE_MS

    searched = next(ms for ms in range(now, now + 4 * 86_400_000, MINUTE_MS) if is_open(some, ms))

    assert searched == (now if is_open(some, now) else next_opening(some, now))


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_a_zone_that_is_not_known_here_is_never_open_and_says_so(name: str) -> None:
    unknown = window("00:00", "24:00", name)

    assert not is_zone(name)
    assert "none opens again" in (closed_until([unknown], at("2026-03-02T12:00")) or "")


def test_a_known_zone_opens_although_another_one_is_not_known() -> None:
    noon = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1_000

    assert closed_until([window("00:00", "24:00", "Europe/Nowhere"), window("11:00", "13:00", "UTC")], noon) is None


@pytest.mark.parametrize(("opens", "closes"), [(60, 60), (120, 60), (-1, 60), (0, 1_441)])
def test_a_window_that_cannot_be_is_refused(opens: int, closes: int) -> None:
    with pytest.raises(ValueError, match="opens before it closes"):
        Window(days=(Day.MON,), opens_minute=opens, closes_minute=closes, zone="UTC")


def test_a_window_without_days_or_with_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        Window(days=(), opens_minute=0, closes_minute=1, zone="UTC")
    with pytest.raises(ValueError, match="time zone"):
        window("00:00", "24:00", "")
