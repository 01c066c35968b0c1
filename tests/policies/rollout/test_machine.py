"""The world of `machine` on the true controller, and on controllers that are wrong on purpose."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Search
from hypothesis.stateful import run_state_machine_as_test

from coalmine.policies import TRANSITIONS, VERBS, Applied, At, Command, Effect, Phase, State, advance

from .broken_controllers import BROKEN
from .machine import Controller, RolloutMachine

WORLD = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
"""The same examples in every run: a red build must mean a change of the code."""


def test_no_law_breaks_while_every_phase_and_every_verb_is_met() -> None:
    walked: set[tuple[Phase, str]] = set()

    class Watched(Controller):
        def advance(self, state: State, command: Command, at: At) -> tuple[State, tuple[Effect, ...]]:
            after, effects = advance(state, command, at)
            walked.update((state.phase, effect.verb) for effect in effects if isinstance(effect, Applied))
            return after, effects

    machine = type("Walk", (RolloutMachine,), {"controller": Watched})
    run_state_machine_as_test(machine, settings=WORLD)

    assert {phase for phase, _ in walked} == set(TRANSITIONS)
    assert {verb for _, verb in walked} == set(VERBS)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_law_breaks_in_twenty_thousand_worlds() -> None:
    run_state_machine_as_test(RolloutMachine, settings=settings(WORLD, max_examples=20_000, derandomize=False))


@pytest.mark.parametrize(("controller", "invariant"), BROKEN.items(), ids=lambda it: getattr(it, "__name__", it))
def test_the_machine_finds_a_broken_controller(controller: type[Controller], invariant: str) -> None:
    machine = type(controller.__name__, (RolloutMachine,), {"controller": controller})
    search = settings(WORLD, max_examples=2_000, phases=[Search.generate])

    with pytest.raises(AssertionError, match=f"{invariant}:"):
        run_state_machine_as_test(machine, settings=search)
