"""Outcomes that cannot be counted are left out for ever, and end neither a tally nor the one after it."""

import json
import random

import msgspec
import pytest

from coalmine.streams.analysis.partition_tally import LeanOutcome, PartitionTally
from coalmine.streams.wire.codec import encode

from .outcome_log import Record, cycle, fresh, log, outcome


@pytest.mark.parametrize("poison", [None, b"", b"not json", b"[" * 5_000, b"\xff\xfe", b'{"src": 1}'])
def test_what_is_no_outcome_is_passed_over_and_counted(poison: bytes | None) -> None:
    tally = fresh()

    tally.fold(log(outcome(1), poison, outcome(2)))

    assert tally.sums()[1]["stable"].rows == 2
    assert (tally.unreadable, tally.next_offset) == (1, 3)


POISON: list[dict[str, object]] = [
    {"bucket": 64},
    {"bucket": -1},
    {"variant": "foo"},
    {"mode": "x"},
    {"cohort": "y"},
    {"ts": -1},
    {"ts": 10**30},
    {"revision": -1},
    {"revision": 10**30},
    {"ok": False, "key_hash": "zz"},
    {"ok": False, "key_hash": "-000000000000001"},
    {"ok": False, "key_hash": "0" * 17},
    {"src": f"r.requests/0@{10**30}"},
    {"src": "r.requests/0@-1"},
    {"src": "nobody/7@-1"},
    {"v": 2},
    {"prediction": 10**400},
]


@pytest.mark.parametrize("poison", POISON, ids=str)
def test_an_outcome_that_cannot_be_counted_is_left_out_for_ever(poison: dict[str, object]) -> None:
    table: dict[str, bytes] = {}
    tally = fresh(table)
    value = json.dumps({**msgspec.json.decode(encode(outcome(2))), **poison}).encode()

    tally.fold(log(outcome(1), value, outcome(3)))
    cycle(tally, table)

    assert (tally.unreadable, tally.next_offset) == (1, 3)
    assert PartitionTally(0, table).sums()[1]["stable"].rows == 2


ODD = [None, True, False, 0, -1, 1, 63, 2**53, 2**64, 10**30, -0.5, 1e308, "", "-1", "canary", "shadow", "0" * 16,
       "x@-1", [], [1], ["a", None], {}, {"a": "b"}, {"rows": 1, "ms": 1.0}, {"a": [1, 2]}, {"a": [-1]}]  # fmt: skip
SOURCES = ["r.requests/0", "r.requests/1", "new/7", ""]


def damaged(rng: random.Random) -> bytes:
    """Return an outcome in which a few fields hold what they should not, or may."""
    fields = {name: rng.choice(ODD) for name in rng.sample(LeanOutcome.__struct_fields__, rng.randint(0, 2))}
    if rng.random() < 0.5:
        fields["src"] = f"{rng.choice(SOURCES)}@{rng.choice(ODD)}"
    return json.dumps({**msgspec.json.decode(encode(outcome(2, fault=True))), **fields}).encode()


def test_no_damaged_outcome_ends_a_tally_or_the_one_after_it() -> None:
    rng = random.Random(1)
    for _ in range(5_000):
        table: dict[str, bytes] = {}
        tally = fresh(table)
        tally.fold(log(outcome(1), damaged(rng), damaged(rng)))
        cycle(tally, table)
        again = PartitionTally(0, table)
        again.fold([Record(3, damaged(rng))])
        cycle(again, table)

        assert PartitionTally(0, table).next_offset == 4


@pytest.mark.parametrize("prediction", [1e308, -1e200, 1e155])
def test_a_prediction_of_any_size_is_counted_and_survives_a_restart(prediction: float) -> None:
    table: dict[str, bytes] = {}
    odd = outcome(2)
    odd.prediction = prediction

    tally = fresh(table)
    tally.fold(log(outcome(1), odd, outcome(3)))
    cycle(tally, table)
    again = PartitionTally(0, table)
    again.fold([Record(3, encode(outcome(4)))])

    sums = again.sums()[1]["stable"]
    assert (sums.rows, sums.predictions.n, sums.predictions.mean) == (4, 3, 0.5)


def test_an_outcome_without_a_source_offset_is_unreadable() -> None:
    odd = outcome(1)
    odd.src = "somewhere"
    tally = fresh()

    tally.fold(log(odd))

    assert (tally.unreadable, tally.sums()) == (1, {})
