"""Monte Carlo of a whole rollout: made-up traffic, and everything that decides as it serves in production."""

from .play import Run, Seen, looks, play
from .runs import MOST_LOOKS, Cost, bounded, cost, require_playable, run_all
from .scenarios import NAMES, USUAL, Scenario, chosen
from .summary import Share, Spread, Summary, summary
from .world import Harm, World, base_like, base_of, rows_per_call

__all__ = [
    "MOST_LOOKS",
    "NAMES",
    "USUAL",
    "Cost",
    "Harm",
    "Run",
    "Scenario",
    "Seen",
    "Share",
    "Spread",
    "Summary",
    "World",
    "base_like",
    "base_of",
    "bounded",
    "chosen",
    "cost",
    "looks",
    "play",
    "require_playable",
    "rows_per_call",
    "run_all",
    "summary",
]
