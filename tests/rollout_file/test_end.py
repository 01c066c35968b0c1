"""The keys for the end of a rollout and for its hours: bake, on_success, windows."""

import pytest

from coalmine.policies import Bake, Day, OnSuccess, Window
from coalmine.rollout_file import parse, write

from .files import plan_of, refusals

WEEK = tuple(Day)


def test_a_file_without_them_has_no_bake_no_windows_and_promotes_by_itself() -> None:
    plan = plan_of()

    assert (plan.bake, plan.windows, plan.on_success) == (None, (), OnSuccess.PROMOTE)


def test_a_bake_that_names_nothing_lasts_a_day_and_holds_5_percent_back() -> None:
    assert plan_of("bake: {}").bake == Bake(hold_ms=86_400_000, holdback=5.0)


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("mon-fri", WEEK[:5]),
        ("sun", (Day.SUN,)),
        ("fri-mon", (Day.MON, Day.FRI, Day.SAT, Day.SUN)),
        ("[sat, mon-tue, mon]", (Day.MON, Day.TUE, Day.SAT)),
    ],
)
def test_days_are_a_day_a_range_or_a_list(written: str, days: tuple[Day, ...]) -> None:
    [window] = plan_of(f"windows: [{{days: {written}, zone: UTC}}]").windows

    assert window == Window(days=days, opens_minute=0, closes_minute=1_440, zone="UTC")


@pytest.mark.parametrize(
    "line",
    [
        "bake: {hold: 36h, holdback: 0.5%}",
        "on_success: approval",
        "windows: [{days: [mon, wed-fri], from: 09:30, to: 24:00, zone: Asia/Tokyo}, {days: sun, zone: UTC}]",
    ],
)
def test_they_are_written_as_they_are_read(line: str) -> None:
    plan = plan_of(line)

    assert parse(write(plan), "again.yaml") == plan


BAD = [
    ("bake: {holdback: 5}", "bake.holdback: 5 is not a percentage; write 5%"),
    ("bake: {holdback: 0%}", "bake.holdback: a holdback is above 0%, below 100% and has at most 4 decimals"),
    ("bake: {holdback: 60%}", "bake: it would give the canary 40%, and the last step 50%; lower holdback"),
    ("bake: {hold: 24}", "bake.hold: 24 is not a duration; write 24m"),
    ("bake: on", "bake: on is not a mapping; write {KEY: VALUE}"),
    ("bake: {weight: 95%}", "bake.weight: unknown key; known here: hold, holdback"),
    ("on_success: aproval", "on_success: aproval is not one of promote, approval; did you mean approval?"),
    ("windows: [{}]", "windows[0].zone: missing; write zone: Europe/Berlin"),
    ("windows: [{zone: Europe/Berln}]", "windows[0].zone: Europe/Berln is no time zone that this machine knows; "
     "did you mean Europe/Berlin?"),
    ("windows: [{zone: xx}]", "windows[0].zone: xx is no time zone that this machine knows; write Europe/Berlin"),
    ("windows: [{zone: UTC, from: 9}]", "windows[0].from: 9 is not a time of day; write 09:00"),
    ("windows: [{zone: UTC, from: 9am}]", "windows[0].from: 9am is not a time of day; write 09:00"),
    ("windows: [{zone: UTC, to: 25:00}]", "windows[0].to: 25:00 is not a time of day; write 09:00"),
    ("windows: [{zone: UTC, from: 22:00, to: 06:00}]", "windows[0].to: 06:00 is not after 22:00; a window ends on the "
     "day it begins, so write two for a night"),
    ("windows: [{zone: UTC, days: mo}]", "windows[0].days: mo is not one of mon, tue, wed, thu, fri, sat, sun; "
     "did you mean mon? (or a range such as mon-fri, or a list)"),
    ("windows: [{zone: UTC, days: []}]", "windows[0].days: an empty list or mapping says nothing; write a value or "
     "remove the key"),
    ("windows: [{zone: UTC, form: 09:00}]", "windows[0].form: unknown key; did you mean from?"),
    ("windows: {zone: UTC}", "windows: a mapping is not a list; write [..., ...]"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_a_slip_is_refused_with_what_to_write(line: str, message: str) -> None:
    assert refusals(line) == [message]
