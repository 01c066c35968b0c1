"""Requests of the demo's traffic are what the product asks for, keyed by aircraft."""

import json
from itertools import islice

from coalmine.demo.flights import STREAM_START, departures, load
from coalmine.demo.traffic import request_of, rounds


def test_a_request_of_the_demo_carries_its_own_departure_time() -> None:
    departure = next(departures(load().between(STREAM_START)))

    id_, key, value = request_of(departure)

    assert (id_, key) == (departure.id, departure.features["tailnum"].encode())  # type: ignore[union-attr]
    assert json.loads(value)["ts"] == departure.ts


def test_traffic_without_end_leaves_now_and_never_repeats_an_id() -> None:
    spring = len(load().between(STREAM_START))
    first, again = islice(rounds(), 0, spring + 1, spring)

    assert again[0] == first[0] + "#1"
    assert [json.loads(value)["id"] for _, _, value in (first, again)] == [first[0], again[0]]
    assert "ts" not in json.loads(first[2])
    assert first[1] == again[1]
