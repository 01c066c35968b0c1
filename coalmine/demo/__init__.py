"""The demo: a whole canary release on real flights, with nothing to install."""

__all__ = ["play"]


def play(scenario: str, speed: float = 1.0, bootstrap: str | None = None) -> int:
    """Play a scenario (`clean`, `crash` or `slow`) and return the exit code; see `performance.perform`."""
    from .performance import perform  # the models and the flights of this folder are used without a broker, too

    return perform(scenario, speed, bootstrap)
