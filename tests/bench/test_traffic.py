"""The synthetic traffic is what the benchmarks say it is."""

import json

import pytest

from bench.poison import KINDS
from bench.traffic import FEATURES, Traffic, number_of

NOW_MS = 1_770_000_000_000


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic()


def test_a_request_has_twenty_numbers_and_about_360_bytes(traffic: Traffic) -> None:
    value = traffic.value(123, NOW_MS)

    assert list(json.loads(value)["features"]) == list(FEATURES)
    assert len(FEATURES) == 20
    assert 345 <= len(value) <= 375


def test_the_same_number_is_the_same_request_in_every_process(traffic: Traffic) -> None:
    assert Traffic().value(77_000, NOW_MS) == traffic.value(77_000, NOW_MS)


def test_a_request_tells_its_number(traffic: Traffic) -> None:
    assert number_of(json.loads(traffic.value(77_000, NOW_MS))["id"]) == 77_000


def test_failing_keys_fail_always_and_are_the_share_they_should_be() -> None:
    failing = Traffic(failing_keys=100)

    keys: dict[bytes, set[bool]] = {}
    for number in range(30_000):
        keys.setdefault(failing.key(number), set()).add(b"1.7e308" in failing.value(number, NOW_MS))

    assert all(len(fails) == 1 for fails in keys.values())
    assert 0.005 < sum(fails == {True} for fails in keys.values()) / len(keys) < 0.015


def test_the_kinds_of_poison_differ() -> None:
    assert len(set(KINDS)) == len(KINDS)
