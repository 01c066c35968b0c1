import timeit
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from coalmine.policies import (
    Assignment,
    By,
    Cohort,
    ModelRef,
    Phase,
    Plan,
    Router,
    Routing,
    Rule,
    State,
    Step,
    Topics,
    Variant,
    key_hash,
)

KEYS = [f"N{number}".encode() for number in range(20_000)]
IDS = [f"request-{number}".encode() for number in range(20_000)]
MODEL = ModelRef(uri="flights/2")


def rollout(weight: float, routing: Routing | None = None, **changes: object) -> State:
    plan = Plan(
        name="flights",
        topics=Topics.of("flights"),
        stable=MODEL,
        steps=(Step(weight=100),),
        routing=routing or Routing(),
    )
    state = State(
        rollout="flights", phase=Phase.PROGRESSING, attempt=3, weight=weight, plan=plan, stable=MODEL, canary=MODEL
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def no_column(field: str) -> Sequence[str | None]:
    raise AssertionError(f"asked for {field} without a rule or scope")


def assign(state: State, keys: Sequence[bytes] = KEYS, ids: Sequence[bytes] | None = None) -> Assignment:
    return Router.of(state).assign(keys, IDS[: len(keys)] if ids is None else ids, no_column)


keys = st.lists(st.binary(max_size=40), min_size=1, max_size=30)
weights = st.integers(0, 10**6).map(lambda units: units / 10**4)


@given(keys, weights, st.binary(max_size=100))
def test_the_columns_equal_the_plain_formulas(some: list[bytes], weight: float, secret: bytes) -> None:
    router = Router.of(rollout(weight), secret)

    assigned = router.assign(some, some, no_column)

    plain = [xxh3_64_intdigest(router.salt + key) * 10**6 // 2**64 for key in some]
    assert assigned.u.tolist() == plain
    assert assigned.canary.tolist() == [u < round(weight * 10**4) for u in plain]
    assert assigned.bucket.tolist() == [xxh3_64_intdigest(key) * 64 // 2**64 for key in some]
    assert [int(key_hash(key), 16) >> 58 for key in some] == assigned.bucket.tolist()


def test_the_types_of_the_columns_are_those_of_the_wire() -> None:
    assigned = assign(rollout(10), KEYS[:3])

    assert [column.dtype.name for column in assigned] == ["int64", "uint8", "bool", "int8"]
    assert [len(column) for column in assign(rollout(10), [])] == [0, 0, 0, 0]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_order_and_batching_change_no_answer(cuts: list[int], rng: object) -> None:
    some = KEYS[: sum(cuts)]
    shuffled = list(some)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = dict(zip(some, assign(rollout(25), some).canary.tolist(), strict=True))
    ends = np.cumsum(cuts).tolist()

    batches = [shuffled[end - size : end] for size, end in zip(cuts, ends, strict=True)]
    answers = [assign(rollout(25), batch).canary.tolist() for batch in batches]
    pieces = dict(zip(shuffled, [answer for part in answers for answer in part], strict=True))

    assert pieces == whole


@given(weights, weights)
def test_raising_the_weight_never_moves_a_key_back_to_stable(one: float, other: float) -> None:
    low, high = (assign(rollout(w), KEYS[:300]).canary for w in sorted((one, other)))

    assert not np.any(low & ~high)


@pytest.mark.parametrize("weight", [0.001, 0.1, 1, 10, 33.3333, 50, 99.9])
def test_the_share_of_keys_is_the_weight_within_five_sd(weight: float) -> None:
    many = [b"%d" % number for number in range(400_000)]

    count = int(assign(rollout(weight), many, many).canary.sum())

    share = weight / 100
    assert abs(count - len(many) * share) <= 5 * np.sqrt(len(many) * share * (1 - share))


def test_a_thousandth_of_a_percent_is_ten_units_of_the_hash() -> None:
    assert Router.of(rollout(0.001)).threshold == 10
    assert Router.of(rollout(0.0001)).threshold == 1


def test_at_weight_0_nobody_and_at_100_everybody_gets_the_canary() -> None:
    assert not assign(rollout(0)).canary.any()
    assert assign(rollout(100)).canary.all()


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def test_every_attempt_has_a_cohort_of_its_own() -> None:
    first, second = (assign(rollout(50, attempt=attempt)).u for attempt in (3, 4))

    assert abs(correlation(first, second)) < 5 / np.sqrt(len(KEYS))


def test_buckets_are_even_and_independent_of_the_variant_and_the_attempt() -> None:
    one, other = (assign(rollout(50, attempt=attempt)) for attempt in (3, 4))

    counts = np.bincount(one.bucket, minlength=64)
    expected = len(KEYS) / 64
    assert np.array_equal(one.bucket, other.bucket)
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * np.sqrt(2 * 63)
    assert abs(correlation(one.bucket, one.u)) < 5 / np.sqrt(len(KEYS))


def test_without_the_secret_nobody_can_tell_who_gets_the_canary() -> None:
    state = rollout(10)
    guessed = assign(state).canary

    true = Router.of(state, b"of the platform team").assign(KEYS, IDS, no_column).canary

    hits = int(true[guessed].sum())
    tries = int(guessed.sum())
    assert abs(hits - tries * 0.1) <= 5 * np.sqrt(tries * 0.09)


def test_random_routing_draws_every_request_by_itself() -> None:
    state = rollout(50, Routing(by=By.RANDOM))
    one_key = [b"N14228"] * 1_000

    canary = assign(state, one_key).canary

    assert 400 < canary.sum() < 600
    assert np.array_equal(canary, assign(state, KEYS[:1_000]).canary)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PENDING, Phase.PROMOTED, Phase.ROLLED_BACK])
def test_without_a_canary_on_traffic_everybody_is_stable_but_has_a_hash(phase: Phase) -> None:
    routing = Routing(allow=("N1",))
    idle = assign(rollout(0, routing, phase=phase))
    live = assign(rollout(10, routing))

    assert not idle.canary.any()
    assert np.array_equal(idle.u, live.u)


def test_a_rollout_that_never_started_routes_everybody_to_stable() -> None:
    assigned = assign(State(rollout="flights"))

    assert not assigned.canary.any()
    assert assigned.u.max() > 900_000


LISTS = Routing(
    deny=("denied", "both"),
    allow=("allowed", "both", "out but allowed"),
    rules=(
        Rule(field="segment.carrier", values=("HA",), variant=Variant.STABLE),
        Rule(field="feature.gate", values=("B", "C"), variant=Variant.CANARY),
    ),
    only={"segment.origin": ("JFK", "LGA"), "segment.carrier": ("HA", "UA")},
)
RANDOMISED, PINNED, OUT = Cohort.RANDOMISED, Cohort.PINNED, Cohort.OUT_OF_SCOPE

TRUTH = [  # key, carrier, gate, origin -> variant at weight 100, variant at weight 0.0001, cohort
    ("denied", "UA", "A", "JFK", "stable", "stable", PINNED),
    ("both", "UA", "A", "JFK", "stable", "stable", PINNED),
    ("denied", "UA", "B", "JFK", "stable", "stable", PINNED),
    ("allowed", "UA", "A", "JFK", "canary", "canary", PINNED),
    ("allowed", "HA", "A", "JFK", "canary", "canary", PINNED),
    ("out but allowed", "UA", "A", "EWR", "canary", "canary", PINNED),
    ("plain", "HA", "B", "JFK", "stable", "stable", PINNED),
    ("plain", "UA", "C", "JFK", "canary", "canary", PINNED),
    ("plain", "UA", "C", "EWR", "canary", "canary", PINNED),
    ("plain", "UA", "A", "EWR", "stable", "stable", OUT),
    ("plain", "AA", "A", "JFK", "stable", "stable", OUT),
    ("plain", None, None, None, "stable", "stable", OUT),
    ("plain", "UA", None, "LGA", "canary", "stable", RANDOMISED),
    ("plain", "UA", "A", "JFK", "canary", "stable", RANDOMISED),
]


@pytest.mark.parametrize(("key", "carrier", "gate", "origin", "at_all", "at_least", "cohort"), TRUTH)
def test_deny_allow_rules_only_and_the_hash_decide_in_this_order(
    key: str,
    carrier: str | None,
    gate: str | None,
    origin: str | None,
    at_all: str,
    at_least: str,
    cohort: Cohort,
) -> None:
    columns = {"segment.carrier": [carrier], "feature.gate": [gate], "segment.origin": [origin]}
    routers = [Router.of(rollout(weight, LISTS)) for weight in (100, 0.0001)]

    full, least = (router.assign([key.encode()], [b"1"], columns.__getitem__) for router in routers)

    assert ["canary" if one.canary[0] else "stable" for one in (full, least)] == [at_all, at_least]
    assert full.cohort[0] == least.cohort[0] == cohort


def test_pinned_rows_stay_pinned_but_get_stable_while_no_canary_receives_traffic() -> None:
    columns = {"segment.carrier": ["UA"], "feature.gate": ["B"], "segment.origin": ["JFK"]}
    router = Router.of(rollout(0, LISTS))

    by_list = router.assign([b"allowed"], [b"1"], columns.__getitem__)
    by_rule = router.assign([b"plain"], [b"1"], columns.__getitem__)

    assert not by_list.canary[0]
    assert not by_rule.canary[0]
    assert by_list.cohort[0] == by_rule.cohort[0] == PINNED


def test_a_rule_cannot_name_the_shadow() -> None:
    with pytest.raises(ValueError, match="shadow"):
        Rule(field="segment.carrier", values=("HA",), variant=Variant.SHADOW)


def test_routing_a_thousand_rows_takes_at_most_0_3_us_a_row() -> None:
    router = Router.of(rollout(10), b"secret")
    some, ids = KEYS[:1_000], IDS[:1_000]

    seconds = min(timeit.repeat(lambda: router.assign(some, ids, no_column), number=20, repeat=30)) / 20

    assert seconds / 1_000 <= 0.3e-6
