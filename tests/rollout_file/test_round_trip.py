"""Whatever a file says, writing its plan out and reading it again gives the same plan."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from coalmine.policies import Day
from coalmine.rollout_file import parse, warnings, write
from coalmine.rollout_file.changes import changes
from coalmine.rollout_file.windows import format_time

from .files import plan_of


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), allow_nan=False, places=places)


def time_of_day(minute: int) -> str:
    return f'"{format_time(minute)}"'


POINTS = decimals("0.0001", "99", 4).map(lambda number: f"margin: {number}pp, tolerance: {number / 2}pp")
NUMBERS = st.floats(1e-6, 0.9).map(lambda number: f"margin: {number!r}, tolerance: {number / 3!r}")
SHARES = decimals("0.0001", "99", 4).map(lambda number: f"margin: {number}%, tolerance: {number / 2}%")
CAPS = st.floats(1, 1e9).map(lambda cap: f"cap: {cap!r}")
CHECKS = st.one_of(
    st.tuples(st.just("metric: accuracy"), POINTS, st.sampled_from(["segment_by: origin", "role: signal"])),
    st.tuples(st.just("metric: error_rate"), POINTS, decimals("0.01", "99.9", 2).map(lambda rate: f"limit: {rate}%")),
    st.tuples(st.just("metric: brier"), NUMBERS, st.just("dry_run: true")),
    st.tuples(st.just("metric: metrics/cost.py:Cost"), NUMBERS),
    st.tuples(st.just("metric: squared_error"), NUMBERS, CAPS),
    st.tuples(st.just("metric: mean"), SHARES | NUMBERS, CAPS, st.sampled_from(["direction: decrease", "field: tip"])),
).map(", ".join)
SPANS = st.tuples(st.integers(0, 1_000), st.integers(1, 440)).map(
    lambda span: f"from: {time_of_day(span[0])}, to: {time_of_day(sum(span))}, zone: Europe/Berlin"
)
DAYS = st.lists(st.sampled_from([day.value for day in Day]), min_size=1).map(lambda days: f"days: [{', '.join(days)}]")
WINDOWS = st.tuples(DAYS, SPANS).map(lambda parts: f"{{{', '.join(parts)}}}")
BAKES = decimals("0.0001", "49", 4).map(lambda holdback: f"bake: {{hold: 90m, holdback: {holdback}%}}")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(CHECKS, min_size=1, max_size=4), st.lists(WINDOWS, max_size=3), BAKES)
def test_a_plan_that_is_written_out_is_read_back(checks: list[str], windows: list[str], bake: str) -> None:
    named = ", ".join(f"c{index}: {{{check}}}" for index, check in enumerate(checks))
    plan = plan_of(f"analysis: {{checks: {{{named}}}}}", f"windows: [{', '.join(windows)}]", bake)

    again = parse(write(plan), "again.yaml")

    assert again == plan
    assert changes(plan, again) == []
    assert warnings(again) == warnings(plan)
