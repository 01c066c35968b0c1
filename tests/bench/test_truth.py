"""The recomputed sums agree with the product's tally, and every single damage to the published ones is found."""

from dataclasses import replace

import msgspec
import pytest

from bench.truth import Book, Group, differences, published
from coalmine.policies import Sums, Tally
from coalmine.streams.wire.messages import Call, Outcome

PARTITION = 3


def outcome(i: int) -> Outcome:
    """Return one of a varied lot: canary and stable, faults of rows and of calls, pinned rows, excluded batches."""
    ok = i % 11 != 0
    return Outcome(
        id=f"r{i}", src=f"t.requests/0@{i}", rollout="t", variant="canary" if i % 10 == 0 else "stable",
        model_version="1", mode="live", ok=ok, latency_ms=i / 10, ts=i, revision=1 + i // 60, u=i, bucket=i % 64,
        prediction=i / 7, error_code=None if ok else "model_error", cohort="pinned" if i % 13 == 0 else None,
        evidence=i % 17 != 0, by_call=not ok and i % 2 == 0, call=Call(5, i / 100) if i % 5 == 0 else None,
        key_hash=None if ok else f"{i:016x}",
    )  # fmt: skip


OUTCOMES = [outcome(i) for i in range(120)]


def truth(outcomes: list[Outcome]) -> Book:
    book = Book()
    book.add(PARTITION, [msgspec.json.encode(o) for o in outcomes])
    return book


def evidence(outcomes: list[Outcome], offset: int = 120) -> list[bytes]:
    tally = Tally()
    tally.fold(outcomes)
    return [
        msgspec.json.encode({
            "revision": revision, "partition": PARTITION, "offset": offset,
            "sums": {variant: value.to_json() for variant, value in variants.items()},
        })
        for revision, variants in tally.sums().items()
    ]  # fmt: skip


@pytest.fixture
def sums() -> dict[Group, Sums]:
    return published(evidence(OUTCOMES))[0]


def test_the_tally_of_the_product_is_the_truth(sums: dict[Group, Sums]) -> None:
    assert differences(truth(OUTCOMES).counts, sums) == []


def test_a_repeated_outcome_counts_once(sums: dict[Group, Sums]) -> None:
    book = truth([*OUTCOMES, *OUTCOMES[-30:]])

    assert differences(book.counts, sums) == []
    assert book.repeated == 30


def test_a_tally_that_counts_repetitions_is_found() -> None:
    doubled, _ = published(evidence([*OUTCOMES, *OUTCOMES[-30:]]))

    assert any("rows should be" in line for line in differences(truth(OUTCOMES).counts, doubled))


def test_a_tally_that_lost_an_outcome_is_found() -> None:
    short, _ = published(evidence(OUTCOMES[:-1]))

    assert differences(truth(OUTCOMES).counts, short)


@pytest.mark.parametrize("name", ["rows", "row_faults", "call_fault_rows", "calls", "call_ms", "bucket_rows",
                                  "bucket_faults", "other_rows", "predictions"])  # fmt: skip
def test_a_count_that_is_missing_is_found(sums: dict[Group, Sums], name: str) -> None:
    group = next(group for group, counts in sums.items() if getattr(counts, name) != getattr(Sums(), name))
    sums[group] = replace(sums[group], **{name: getattr(Sums(), name)})

    assert any(str(group) in line for line in differences(truth(OUTCOMES).counts, sums))


def test_sums_of_outcomes_that_do_not_exist_are_found(sums: dict[Group, Sums]) -> None:
    sums[9, PARTITION, "stable"] = Sums(rows=1)

    assert differences(truth(OUTCOMES).counts, sums) == ["(9, 3, 'stable'): published, but there are no such outcomes"]


def test_the_newest_evidence_counts() -> None:
    older, newer = evidence(OUTCOMES[:50], 50), evidence(OUTCOMES)

    sums, offsets = published([*newer, *older])

    assert differences(truth(OUTCOMES).counts, sums) == []
    assert offsets == {PARTITION: 120}
