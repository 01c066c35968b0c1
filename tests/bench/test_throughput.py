"""The report of the benchmark: the ratios of every round, and their medians held against the bars."""

from typing import Any

import pytest

from bench.evidence import Report
from bench.measure import Figures
from bench.throughput import summarise


def figures(runner: str, events_per_second: float, score: float, rss_mb: float = 250.0) -> Figures:
    verdict: Any = None
    return Figures(
        runner=runner,
        events=1_000_000,
        verdict=verdict,
        events_per_second=events_per_second,
        cpu_us={"score": score, "analyze": 5.0, "broker": 4.0},
        peak_rss_mb={"score": rss_mb, "analyze": 128.0, "broker": 700.0},
        bytes_per_record={"prediction": 223.0, "outcome": 249.0},
    )


def a_round(speed: float = 60_000, score: float = 15.0, rss_mb: float = 250.0) -> dict[str, Figures]:
    return {
        "bare": figures("bare", 40_000, 16.0),
        "bare-0.5s": figures("bare-0.5s", 80_000, 12.0),
        "Faust": figures("Faust", 1_200, 750.0),
        "coalmine": figures("coalmine", speed, score, rss_mb),
    }


def test_every_round_shows_its_own_ratios() -> None:
    report = summarise(Report("throughput", ""), [a_round(), a_round(speed=80_000)])

    first, second = (line for line in report.lines if "ratios" in line)
    assert first == (
        "round 1 ratios: throughput / bare 1.5, throughput / bare-0.5s 0.75, throughput / Faust 50, "
        "scorer CPU / bare 0.938, scorer CPU / bare-0.5s 1.25, scorer CPU / Faust 0.02, "
        "scorer + analyzer CPU / bare 1.25"
    )
    assert second.startswith("round 2 ratios: throughput / bare 2,")


def test_one_slow_round_of_three_misses_no_bar() -> None:
    assert summarise(Report("throughput", ""), [a_round(), a_round(speed=1_000), a_round()]).is_met


@pytest.mark.parametrize(
    "round_", [a_round(speed=47_000), a_round(score=21.0), a_round(rss_mb=301.0)], ids=["Faust", "CPU", "memory"]
)
def test_a_median_beyond_its_bar_misses_it(round_: dict[str, Figures]) -> None:
    assert not summarise(Report("throughput", ""), [round_]).is_met
