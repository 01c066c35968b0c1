"""Plans, states and sums that the tests of the judge share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coalmine.policies import (
    By,
    Check,
    Cut,
    Epoch,
    FrozenNumbers,
    Judgement,
    Memory,
    Metric,
    Phase,
    Plan,
    Routing,
    State,
    Step,
    Sums,
    look,
)
from tests.policies.rollout.rollouts import PLAN

MINUTE = 60_000
ERRORS = Check(name="errors", metric=Metric.ERROR_RATE, margin=0.005)
SLOW = Check(name="slow", metric=Metric.SLOW_RATE, margin=0.02, slower_than_ms=50.0)
FROZEN = FrozenNumbers(rows=5_000, calls=500, error_rate=0.01, slow_ms={"slow": 50.0}, slow_rates={"slow": 0.01})
FAST, SLOWER = 450, 600
"""Duration buckets of 7 ms and 145 ms."""


def plan(
    *checks: Check,
    by: By = By.RANDOM,
    steps: Sequence[Step] = (Step(weight=10, hold_ms=MINUTE, margin_factor=2), Step(weight=50, hold_ms=MINUTE)),
    **analysis: object,
) -> Plan:
    judged = replace(PLAN.analysis, checks=checks or (ERRORS,), every_ms=1_000, **analysis)  # type: ignore[arg-type]
    return replace(PLAN, routing=Routing(by=by), steps=tuple(steps), analysis=judged)


def at_step(judged: Plan, step: int = 1, phase: Phase = Phase.PROGRESSING) -> State:
    """Return the state in a step, entered one revision a step; revision 1 was pending."""
    epochs = [Epoch(first=1, last=1, weight=0.0, step=0)]
    epochs += [
        Epoch(first=index + 1, last=index + 1 if index < step else None, weight=entered.weight, step=index)
        for index, entered in enumerate(judged.stages[:step], start=1)
    ]
    return State(rollout=judged.name, phase=phase, attempt=0, revision=step + 1, weight=judged.stages[step - 1].weight,
                 step=step, plan=judged, frozen=FROZEN, epochs=tuple(epochs))  # fmt: skip


def seen(
    rows: int = 0, faults: int = 0, calls: int = 0, slow: int = 0, failed: int = 0, keys: Sequence[int] = ()
) -> Sums:
    """Return the sums of rows spread evenly over the key buckets, and of calls."""
    return Sums(
        rows=rows,
        row_faults={"model_error": faults} if faults else {},
        calls=calls,
        call_faults={"model_timeout": failed} if failed else {},
        call_ms={bucket: n for bucket, n in ((FAST, calls - slow), (SLOWER, slow)) if n},
        bucket_rows=spread(rows),
        bucket_faults=spread(faults),
        fault_keys=frozenset(keys),
    )


def spread(count: int) -> tuple[int, ...]:
    """Return `count` over 64 buckets, a little uneven, as keys are."""
    lot = [count // 64 + (bucket < count % 64) for bucket in range(64)]
    moved = min(lot) // 8
    return tuple(n + (moved if bucket % 2 else -moved) for bucket, n in enumerate(lot))


def cut(canary: Sums, stable: Sums, number: int = 1, now_ms: int = 0, revision: int = 2, **more: object) -> Cut:
    return Cut(number=number, now_ms=now_ms, sums={revision: {"canary": canary, "stable": stable}}, **more)  # type: ignore[arg-type]


def judged(
    judged_plan: Plan, canary: Sums, stable: Sums, *, step: int = 1, after_ms: int = 10 * MINUTE, **more: object
) -> Judgement:
    """Judge two looks in a step: one that enters it, and one `after_ms` later with all the evidence."""
    state = at_step(judged_plan, step)
    entered = look(Memory.empty(judged_plan, FROZEN), cut(Sums(), Sums()), state)
    return look(entered.memory, cut(canary, stable, 2, after_ms, revision=step + 1, **more), state)


def run(judged_plan: Plan, state: State, cuts: Sequence[Cut]) -> list[Judgement]:
    """Judge cuts one after the other."""
    memory, judgements = Memory.empty(judged_plan, FROZEN), []
    for each in cuts:
        judgements.append(look(memory, each, state))
        memory = judgements[-1].memory
    return judgements


def growing(canary: Sums, stable: Sums, looks: int, now_ms: int = 0) -> list[Cut]:
    """Return cuts that add the same sums at every look."""
    cuts, canary_sum, stable_sum = [], Sums(), Sums()
    for number in range(1, looks + 1):
        canary_sum, stable_sum = canary_sum + canary, stable_sum + stable
        cuts.append(cut(canary_sum, stable_sum, number, now_ms + number * 1_000))
    return cuts


def ledger(**revisions: Mapping[str, Sums]) -> dict[int, Mapping[str, Sums]]:
    """Return sums by revision from `r2=...`."""
    return {int(name[1:]): variants for name, variants in revisions.items()}
