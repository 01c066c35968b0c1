"""The extract of real flights: the figures its description gives, and models that are what they are said to be."""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from coalmine.demo.flights import STREAM_START, Departure, Flights, Landing, departures, landings, load, train
from coalmine.demo.flights.build import build
from coalmine.demo.flights.data import FLIGHTS_FILE
from coalmine.models import Answers, Model, Row, answer
from coalmine.models import load as load_model

SPRING_END = date(2013, 6, 1)


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load()


@pytest.fixture(scope="module")
def spring(flights: Flights) -> Flights:
    return flights.between(STREAM_START, SPRING_END)


@pytest.fixture(scope="module")
def labelled(spring: Flights) -> Flights:
    return spring.at(spring.landed)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    directory = tmp_path_factory.mktemp("packages")
    return train.provide(directory, ["stable", "hinges", "boosted", "tailnum", "forest"])


def stamp(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def rows(model: Model, flights: Flights) -> list[Row]:
    names = [feature.name for feature in model.manifest.features]
    return [tuple(departure.features[name] for name in names) for departure in departures(flights)]


def ask(model: Model, flights: Flights) -> Answers:
    return answer(model, rows(model, flights), perf_counter)


def log_loss(p: NDArray[np.float64], late: NDArray[np.bool_]) -> float:
    return float(-np.log(np.where(late, p, 1 - p)).mean())


def test_the_extract_holds_134_040_departures_before_june(flights: Flights, spring: Flights) -> None:
    before = flights.between(date(2013, 1, 1), STREAM_START)

    assert (len(before), len(spring)) == (50_173, 83_867)
    assert (before.landed.sum(), spring.landed.sum()) == (50_009, 83_593)


def test_a_quarter_of_the_flights_is_late(flights: Flights, labelled: Flights) -> None:
    before = flights.between(date(2013, 1, 1), STREAM_START)

    assert before.late.sum() / before.landed.sum() == pytest.approx(0.228, abs=5e-4)
    assert labelled.late.mean() == pytest.approx(0.242, abs=5e-4)


def test_requests_come_in_order_of_departure_and_landings_in_order_of_landing(spring: Flights) -> None:
    asked = [departure.ts for departure in departures(spring)]
    known = [landing.ts for landing in landings(spring)]

    assert asked == sorted(asked)
    assert known == sorted(known)


def test_every_request_has_its_own_id_and_a_landing_names_one_of_them(spring: Flights) -> None:
    asked = {departure.id for departure in departures(spring)}
    known = {landing.id for landing in landings(spring)}

    assert len(asked) == 83_867
    assert known < asked
    assert len(asked - known) == 274  # diverted: their label never comes


def test_a_landing_comes_an_hour_to_half_a_day_after_its_departure(labelled: Flights) -> None:
    minutes = (labelled.arrived - labelled.departed) / 60_000

    assert np.percentile(minutes, [5, 50, 95]) == pytest.approx([65, 160, 373], abs=1.5)
    assert minutes.min() > 30
    assert minutes.max() < 740


def test_keys_are_thousands_of_aircraft_and_none_has_much_of_the_traffic(spring: Flights) -> None:
    shares = np.unique(spring.tailnum, return_counts=True)[1] / len(spring)

    assert len(shares) == 3629
    assert shares.max() == pytest.approx(0.0023, abs=5e-5)
    assert 1 / (shares**2).sum() == pytest.approx(1801, abs=1)


def test_the_first_flight_of_the_year_is_told_as_the_source_tells_it(flights: Flights) -> None:
    # 2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400; Houston is an hour behind New York.
    first = flights.at(np.arange(1))

    assert next(departures(first)) == Departure(
        id="UA1545-20130101-0515",
        key="N14228",
        ts=stamp(2013, 1, 1, 5, 17),
        features={
            "distance": 1400,
            "hour": 5,
            "block": 244,
            "dep_delay": 2,
            "carrier": "UA",
            "origin": "EWR",
            "dest": "IAH",
            "tailnum": "N14228",
        },
        segment={"origin": "EWR", "carrier": "UA"},
    )
    assert next(landings(first)) == Landing(id="UA1545-20130101-0515", ts=stamp(2013, 1, 1, 9, 30), late=False)


def test_february_is_trained_on_and_never_streamed(flights: Flights) -> None:
    streamed = flights.between(STREAM_START)

    assert streamed.departed.min() >= stamp(2013, 3, 1)


def test_the_builder_takes_no_other_source(tmp_path: Path) -> None:
    (tmp_path / "other.tar.gz").write_bytes(b"other")

    with pytest.raises(ValueError, match="SHA-256 differs"):
        build(tmp_path / "other.tar.gz")


def test_the_extract_is_the_one_the_builder_made() -> None:
    digest = hashlib.sha256(FLIGHTS_FILE.read_bytes()).hexdigest()

    assert digest == "167a817de6014e0922a59beded4cebd60670a4eac42b47ff5e4b7bf62650a40c"


@pytest.mark.parametrize("name", train.SHIPPED)
def test_a_shipped_package_is_what_the_script_trains(name: str, tmp_path: Path, spring: Flights) -> None:
    shipped = load_model(name, root=train.PACKAGES)
    fresh = train.train(tmp_path, [name])[name]
    sample = rows(fresh, spring.at(np.arange(0, len(spring), 100)))

    assert fresh.manifest.features == shipped.manifest.features
    assert fresh.predict(sample) == pytest.approx(shipped.predict(sample), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "accuracy", "loss"),
    [("stable", 0.9030, 0.269), ("hinges", 0.9039, 0.269), ("boosted", 0.9042, 0.267), ("forest", 0.903, 0.301)],
)
def test_models_are_as_good_on_spring_as_they_are_said_to_be(
    packages: dict[str, Model], labelled: Flights, name: str, accuracy: float, loss: float
) -> None:
    sample = labelled.at(np.arange(0, len(labelled), 1 if name != "forest" else 10))
    answers = ask(packages[name], sample)

    tolerance = 0.0005 if name != "forest" else 0.005
    assert answers.faults == {}
    assert ((answers.values > 0.5) == sample.late).mean() == pytest.approx(accuracy, abs=tolerance)
    assert log_loss(answers.values, sample.late) == pytest.approx(loss, abs=2 * tolerance)


def test_every_seventh_departure_of_spring_makes_the_tailnum_model_raise(
    packages: dict[str, Model], flights: Flights, spring: Flights
) -> None:
    seen = flights.at(flights.landed).between(*train.KNOWN_AIRCRAFT)
    new = ~np.isin(spring.tailnum, seen.tailnum)

    answers = ask(packages["tailnum"], spring.at(np.arange(300)))

    assert new.mean() == pytest.approx(0.14, abs=0.005)
    assert set(answers.faults) == set(np.flatnonzero(new[:300]).tolist())
    assert answers.by_call == frozenset()


def test_the_forest_is_slow_and_the_others_are_not(packages: dict[str, Model], spring: Flights) -> None:
    sample = spring.at(np.arange(32))

    def milliseconds(name: str) -> float:
        return min(ask(packages[name], sample).calls[0].ms for _ in range(5))

    assert milliseconds("forest") > 5
    assert milliseconds("stable") < 1
    assert milliseconds("boosted") < 5
