"""Plans and worlds that the tests of the simulation share: steps of minutes, looks of half a minute."""

from dataclasses import replace

from coalmine.policies import Analysis, By, Check, Metric, ModelRef, Plan, Routing, Step, Topics
from coalmine.simulate import World, base_of, rows_per_call

ERRORS = Check(name="errors", metric=Metric.ERROR_RATE, margin=0.005)
SLOW = Check(name="slow", metric=Metric.SLOW_RATE, margin=0.02, tolerance=0.01, slower_than_ms=50.0)
WRONG = Check(name="wrong", metric=Metric.ACCURACY, margin=0.02, tolerance=0.01)
BRIER = Check(name="brier", metric=Metric.BRIER, margin=0.02, tolerance=0.01)
BY_REGION = Check(name="by-region", metric=Metric.ACCURACY, margin=0.15, tolerance=0.05, segment_by="region")

STEPS = (
    Step(weight=10, hold_ms=300_000, margin_factor=3),
    Step(weight=25, hold_ms=300_000, margin_factor=2),
    Step(weight=50, hold_ms=300_000),
)


def plan(*checks: Check, by: By = By.KEY, steps: tuple[Step, ...] = STEPS, deadline_ms: int = 14_400_000) -> Plan:
    return Plan(
        name="tried",
        topics=Topics.of("tried"),
        stable=ModelRef(uri="tried/1"),
        routing=Routing(by=by),
        steps=steps,
        analysis=Analysis(every_ms=30_000, deadline_ms=deadline_ms, checks=checks or (ERRORS, SLOW)),
    )


def world(of: Plan, rate: float = 50.0, **changes: object) -> World:
    made = World(base=base_of(of), rows_per_second=rate, rows_per_call=rows_per_call(rate))
    return replace(made, **changes)  # type: ignore[arg-type]
