"""What a look learns and remembers: epochs apart, keys once, late revisions, losses; and that it can be replayed."""

import json
from dataclasses import replace

import msgspec
import pytest

from coalmine.policies import (
    By,
    Cut,
    Decision,
    Judgement,
    Memory,
    RecordedLook,
    State,
    Step,
    Sums,
    frozen_numbers,
    look,
    replay,
)
from coalmine.policies.stats.rate_ratio import RateRatio, Split

from .looks import ERRORS, FROZEN, MINUTE, SLOW, at_step, cut, growing, judged, ledger, plan, seen


def log_e(judgement: Judgement, check: int = 0) -> float:
    value = judgement.findings[check].log_e_rollback
    assert value is not None
    return value


# --- epochs ---

RAMP = plan(steps=[Step(weight=1), Step(weight=50)])
CALM = {"canary": seen(rows=100, faults=1), "stable": seen(rows=9_900, faults=99)}
STORM = {"canary": seen(rows=5_000, faults=300), "stable": seen(rows=5_000, faults=300)}


def test_a_common_rise_of_errors_on_the_ramp_is_not_held_against_the_canary() -> None:
    in_one_look = look(Memory.empty(RAMP, FROZEN), Cut(number=1, now_ms=0, sums=ledger(r2=CALM, r3=STORM)),
                       at_step(RAMP, 2))  # fmt: skip

    assert in_one_look.decision is Decision.HOLD
    assert log_e(in_one_look) < 0


def test_pooling_that_ramp_would_have_taken_the_canary_back() -> None:
    pooled = Split(5_100 / 20_000, 301, 399)

    assert RateRatio.start(0.5, 100).update([pooled]).value() > 10


def test_late_outcomes_of_an_earlier_step_count_under_its_weight() -> None:
    state = at_step(RAMP, 2)
    late = {"canary": CALM["canary"] + CALM["canary"], "stable": CALM["stable"] + CALM["stable"]}
    first = look(Memory.empty(RAMP, FROZEN), Cut(number=1, now_ms=0, sums=ledger(r2=CALM, r3=STORM)), state)

    second = look(first.memory, Cut(number=2, now_ms=1, sums=ledger(r2=late, r3=STORM)), state)

    assert log_e(second) < log_e(first) < 0


def test_several_revisions_of_one_epoch_are_one() -> None:
    state = at_step(plan())
    halves = {"canary": seen(rows=20, faults=2), "stable": seen(rows=180, faults=2)}
    paused = replace(state, revision=3)

    both = {"canary": seen(rows=40, faults=4), "stable": seen(rows=360, faults=4)}
    apart, whole = (
        look(Memory.empty(plan(), FROZEN), Cut(number=1, now_ms=0, sums=sums), paused)
        for sums in (ledger(r2=halves, r3=halves), ledger(r2=both))
    )

    assert log_e(apart) == pytest.approx(log_e(whole), abs=1e-12)
    assert apart.samples == 40


# --- what waits, what is refused ---


def test_a_revision_the_state_does_not_know_yet_waits_and_is_not_lost() -> None:
    state, bad = at_step(RAMP, 1), {"canary": seen(rows=500, faults=60), "stable": seen(rows=500, faults=5)}
    cuts = [Cut(number=n, now_ms=n, sums=ledger(r2=CALM, r3=bad)) for n in (1, 2)]

    early = look(
        Memory.empty(RAMP, FROZEN), cuts[0], replace(state, epochs=(state.epochs[0], replace(state.epochs[1], last=2)))
    )
    later = look(early.memory, cuts[1], at_step(RAMP, 2))

    assert early.decision is Decision.HOLD
    assert later.decision is Decision.ROLLBACK


def test_sums_that_go_back_hold_and_are_not_learnt() -> None:
    good, less = seen(rows=4_000, calls=2_000), seen(rows=3_000, calls=2_000)
    before = judged(plan(), good, seen(rows=36_000, calls=2_000), after_ms=1)

    lost = look(before.memory, cut(less, seen(rows=36_000, calls=2_000), 3, 10 * MINUTE), at_step(plan()))
    again = look(lost.memory, cut(good, seen(rows=36_000, calls=2_000), 4, 11 * MINUTE), at_step(plan()))

    assert lost.decision is Decision.HOLD
    assert lost.missing == ("the sums of revision 2 went back",)
    assert again.decision is Decision.ADVANCE


def test_what_is_only_shown_changes_no_decision() -> None:
    shown = replace(seen(rows=40, faults=4), other_rows={"pinned": 900}, row_ms={5: 40})

    first, second = judged(plan(), shown, seen(rows=360)), judged(plan(), seen(rows=40, faults=4), seen(rows=360))

    assert first == replace(second, memory=first.memory)
    assert first.increments == second.increments


def test_a_shadow_changes_no_decision_and_marks_no_key() -> None:
    keyed, state = plan(by=By.KEY), at_step(plan(by=By.KEY))
    alone = cut(seen(rows=400), seen(rows=3_600, faults=20, keys=range(20)))
    watched = replace(alone, sums={2: {**alone.sums[2], "shadow": seen(rows=3_600, faults=20, keys=range(20))}})

    assert (
        look(Memory.empty(keyed, FROZEN), watched, state).increments
        == look(Memory.empty(keyed, FROZEN), alone, state).increments
    )


# --- keys ---

KEYED = plan(by=By.KEY)


def test_a_key_that_always_fails_counts_once() -> None:
    stubborn = seen(rows=400, faults=60, keys=[7]), seen(rows=3_600, faults=30, keys=range(10, 40))

    assert judged(KEYED, *stubborn).decision is Decision.HOLD
    assert judged(plan(by=By.RANDOM), *stubborn).decision is Decision.ROLLBACK


def test_many_keys_that_fail_on_the_canary_take_it_back() -> None:
    judgement = judged(
        KEYED, seen(rows=400, faults=20, keys=range(20)), seen(rows=3_600, faults=20, keys=range(50, 70))
    )

    assert judgement.decision is Decision.ROLLBACK
    assert judgement.findings[0].values["rows.log_e_keys"] > 3.0


def test_a_key_that_erred_on_stable_first_is_no_news_on_the_canary() -> None:
    keyed = plan(by=By.KEY, steps=[Step(weight=1), Step(weight=50)])
    known, state = range(100), at_step(keyed, 2)
    stable_first = ledger(r2={"canary": Sums(), "stable": seen(rows=9_900, faults=99, keys=known)})
    moved = {
        "canary": seen(rows=500, faults=50, keys=known[:50]),
        "stable": seen(rows=500, faults=5, keys=known[50:55]),
    }

    first = look(Memory.empty(keyed, FROZEN), Cut(number=1, now_ms=0, sums=stable_first), state)
    second = look(first.memory, Cut(number=2, now_ms=1, sums={**stable_first, 3: moved}), state)

    assert log_e(second) == pytest.approx(log_e(first), abs=1e-12)


def test_keys_beyond_the_common_bound_are_counted_for_no_variant() -> None:
    full = replace(seen(rows=3_600, faults=20, keys=range(20)), key_bound=20)
    beyond = seen(rows=400, faults=20, keys=range(20, 40))

    assert log_e(judged(KEYED, beyond, full)) < 0


def test_a_handful_of_keys_holds() -> None:
    lumpy = tuple(4_000 if bucket == 3 else 0 for bucket in range(64))
    judgement = judged(KEYED, replace(seen(rows=4_000, calls=2_000), bucket_rows=lumpy), seen(rows=4_000, calls=2_000))

    assert judgement.decision is Decision.HOLD
    assert "the traffic is worth only about" in judgement.reason


def test_keyed_promotion_is_judged_by_the_variance_between_buckets_too() -> None:
    canary, stable = seen(rows=20_000, faults=200, calls=2_000), seen(rows=180_000, faults=1_800, calls=2_000)
    clustered = tuple(40 if bucket % 13 == 0 else 0 for bucket in range(64))

    even = judged(plan(by=By.KEY), canary, stable)
    lumpy = judged(plan(by=By.KEY), replace(canary, bucket_faults=clustered), stable)

    assert even.decision is Decision.ADVANCE
    assert lumpy.decision is Decision.HOLD
    assert lumpy.findings[0].values["rows.log_e_bucket"] < 3.0 < lumpy.findings[0].values["calls.log_e_promotion"]


# --- memory and replay ---


def story(by: By) -> tuple[list[Cut], list[State]]:
    """Three steps' worth of cuts: calm, a faulty patch, late outcomes, a lagging partition."""
    judged_plan = plan(ERRORS, replace(SLOW, tolerance=0.01), by=by)
    cuts, states = [], []
    for each in growing(
        seen(rows=40, faults=1, calls=20, slow=1, keys=[5]), seen(rows=360, faults=3, calls=20, keys=[6]), 30
    ):
        cuts.append(replace(each, missing=("partition 1 lags",) if each.number % 7 == 0 else ()))
        states.append(at_step(judged_plan, 1))
    for each in growing(seen(rows=200, faults=9, calls=30, slow=2), seen(rows=200, faults=2, calls=30, failed=1), 30):
        sums = {2: cuts[29].sums[2], 3: each.sums[2]}
        cuts.append(Cut(number=30 + each.number, now_ms=30_000 + each.now_ms, sums=sums))
        states.append(at_step(judged_plan, 2))
    return cuts, states


def judge_all(cuts: list[Cut], states: list[State], *, through_json: bool) -> list[Judgement]:
    plan_ = states[0].plan
    assert plan_ is not None
    memory, judgements = Memory.empty(plan_, FROZEN), []
    for each, state in zip(cuts, states, strict=True):
        if through_json:
            memory = Memory.from_json(json.loads(msgspec.json.encode(memory.to_json())))
        judgements.append(look(memory, each, state))
        memory = judgements[-1].memory
    return judgements


def comparable(judgement: Judgement) -> tuple[object, ...]:
    return (
        replace(judgement, memory=Memory.empty(plan(), FROZEN)).findings,
        judgement.decision,
        judgement.reason,
        json.dumps(judgement.memory.to_json()),
    )


@pytest.mark.parametrize("by", list(By))
def test_a_memory_that_was_stored_judges_the_same_to_the_last_bit(by: By) -> None:
    cuts, states = story(by)

    kept, stored = (judge_all(cuts, states, through_json=through) for through in (False, True))

    assert [comparable(j) for j in kept] == [comparable(j) for j in stored]
    assert len({j.decision for j in kept}) > 1


@pytest.mark.parametrize("by", list(By))
def test_a_replay_of_recorded_looks_repeats_every_decision_and_memory(by: By) -> None:
    cuts, states = story(by)
    live = judge_all(cuts, states, through_json=False)
    records = [
        RecordedLook(number=each.number, now_ms=each.now_ms, state=state, missing=judgement.missing,
                     increments=json.loads(msgspec.json.encode(judgement.increments)))
        for each, state, judgement in zip(cuts, states, live, strict=True)
    ]  # fmt: skip

    again = list(replay(Memory.empty(states[0].plan or plan(), FROZEN), records))

    assert [comparable(j) for j in again] == [comparable(j) for j in live]


def test_a_replay_of_other_increments_gives_another_memory() -> None:
    live = judged(plan(), seen(rows=40, faults=4), seen(rows=360))
    record = RecordedLook(number=2, now_ms=0, state=at_step(plan()), increments=live.increments[:1])

    (again,) = replay(Memory.empty(plan(), FROZEN), [record])

    assert again.memory.to_json()["last"] != live.memory.to_json()["last"]


def test_partitions_may_come_in_any_order() -> None:
    parts = [seen(rows=40, faults=2, calls=9, keys=[n]) for n in range(4)]
    forth = sum(parts[1:], start=parts[0])
    back = sum(parts[2::-1], start=parts[3])

    assert comparable(judged(KEYED, forth, seen(rows=1_440))) == comparable(judged(KEYED, back, seen(rows=1_440)))


def test_an_unchanged_cut_changes_nothing_but_the_time() -> None:
    first = judged(plan(), seen(rows=40, faults=2), seen(rows=360))

    again = look(first.memory, cut(seen(rows=40, faults=2), seen(rows=360), 3, 20 * MINUTE), at_step(plan()))

    assert (log_e(again), again.increments) == (log_e(first), ())


# --- frozen numbers ---


@pytest.mark.parametrize("stable", [seen(rows=999, calls=500), seen(rows=5_000, calls=99)])
def test_too_little_history_says_what_is_missing(stable: Sums) -> None:
    answer = frozen_numbers(stable, plan())

    assert isinstance(answer, str)
    assert "of 1,000 rows" in answer
    assert "of 100 calls" in answer


def test_the_frozen_numbers_are_those_of_stable() -> None:
    numbers = frozen_numbers(seen(rows=5_000, faults=50, calls=500, slow=5, failed=10), plan(ERRORS, SLOW))

    assert not isinstance(numbers, str)
    assert (numbers.rows, numbers.calls) == (5_000, 500)
    assert (numbers.error_rate, numbers.call_error_rate) == (0.01, 0.02)
    assert (numbers.slow_ms, numbers.slow_rates) == ({"slow": 50.0}, {"slow": 0.01})


@pytest.mark.parametrize(("bucket", "expected"), [(300, 10.0), (600, 289.0)])
def test_a_threshold_of_nobody_is_twice_what_nearly_all_calls_take_but_at_least_the_floor(
    bucket: int, expected: float
) -> None:
    own = plan(replace(SLOW, slower_than_ms=None))

    numbers = frozen_numbers(replace(seen(rows=5_000, calls=500), call_ms={bucket: 500}), own)

    assert not isinstance(numbers, str)
    assert numbers.slow_ms["slow"] == pytest.approx(expected, rel=0.03)
    assert numbers.slow_rates["slow"] == 0.0


def test_a_split_that_is_not_the_designed_one_holds_and_says_what_to_do() -> None:
    """A tenth more canary rows than were routed to it: outcomes of stable were lost."""
    broken = judged(plan(), seen(rows=5_500, calls=3_000), seen(rows=44_500, calls=3_000))
    sound = judged(plan(), seen(rows=5_050, calls=3_000), seen(rows=44_950, calls=3_000))

    assert broken.decision is Decision.HOLD
    assert "the canary got 11 % of 50,000 rows instead of 10 %" in broken.reason
    assert sound.decision is Decision.ADVANCE


def test_sticky_keys_are_no_broken_split() -> None:
    """One busy key moves more rows than chance would."""
    keyed = plan(by=By.KEY)

    judgement = judged(keyed, seen(rows=6_500, calls=3_000), seen(rows=43_500, calls=3_000))

    assert "split" not in judgement.reason
