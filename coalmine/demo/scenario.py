"""The stories of the demo: which canary, what should become of it, and the sentences around it."""

from dataclasses import dataclass
from pathlib import Path

from coalmine.errors import ConfigError
from coalmine.policies import Phase

__all__ = ["SCENARIOS", "Scenario", "scenario_named"]

FOLDER = Path(__file__).with_name("scenarios")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story: its rollout file, the weights (percent) it goes through and how it ends."""

    name: str
    about: str
    weights: tuple[float, ...]
    end: Phase

    @property
    def file(self) -> Path:
        """The rollout file."""
        return FOLDER / f"{self.name}.yaml"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="clean",
            about="a good canary is ramped up and promoted",
            weights=(10, 25, 50),
            end=Phase.PROMOTED,
        ),
        Scenario(
            name="crash",
            about="a canary that raises is rolled back; stable answers every request",
            weights=(10,),
            end=Phase.ROLLED_BACK,
        ),
        Scenario(
            name="slow",
            about="a canary that takes too long is rolled back",
            weights=(10,),
            end=Phase.ROLLED_BACK,
        ),
    )
}


def scenario_named(name: str) -> Scenario:
    """Return a scenario by its name; raise ConfigError for another one."""
    if name not in SCENARIOS:
        raise ConfigError(f"there is no scenario {name!r}; choose one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
