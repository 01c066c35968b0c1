"""`coalmine simulate`: a rollout file tried on made-up traffic, many times, before anybody is served by it."""

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import columns, document, note, say
from .worlds import Accuracy, Base, Errors, Form, FormOption, Keys, LabelDelay, Rate, Slow, world_of, world_words

if TYPE_CHECKING:
    from coalmine.policies import Plan
    from coalmine.simulate import Scenario, Share, Spread, Summary, World

__all__ = ["simulate"]

QUICK_SECONDS = 10.0
"""A simulation that may take longer says so beforehand."""

Told = Callable[["Scenario", int], None]


def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rollout file.", show_default=False)],
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", "-s", metavar="NAME", help="What to try, `all` for everything; repeatable."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", "-n", help="Attempts a scenario.", min=1, max=100_000)] = 100,
    rate: Rate = "50/s",
    errors: Errors = "",
    slow: Slow = "",
    accuracy: Accuracy = "",
    base: Base = [],  # noqa: B006 - typer wants the default itself and copies it
    keys: Keys = 10_000,
    label_delay: LabelDelay = "0s",
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds, equal runs.", min=0)] = 1,
    processes: Annotated[int | None, typer.Option("--processes", help="Cores to use; all if not given.", min=1)] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Try a rollout file on made-up traffic: what is promoted, rolled back, and how many requests a bad canary gets.

    Scenarios: equal, half, worse, twice (worse by that part of the margin, each check in turn), crash, slow, clustered,
    drift, common, rising, hot-keys, subgroup, moved, late. Router, sums, judge and state machine are those that serve.
    """
    from coalmine.simulate import NAMES, USUAL, bounded, chosen, cost, require_playable, run_all, summary

    from ..rollout_file import load
    from .words import ago, plural

    plan, _ = load(file)
    world = world_of(plan, rate, errors, slow, accuracy, base, keys, label_delay)
    scenarios = chosen(wanted(scenario or USUAL, NAMES), plan, world, skip=scenario is None or "all" in scenario)
    looked = bounded(plan)
    require_playable(looked, world.rows_per_second)
    if looked is not plan:
        note(f"looks every {ago(looked.analysis.every_ms / 1_000)}, not {ago(plan.analysis.every_ms / 1_000)}: "
             "a run must end within 10,000 looks")  # fmt: skip
    cores = processes or os.cpu_count() or 1
    price, total = cost(looked, scenarios[0]), runs * len(scenarios)
    if price.most_seconds(total, cores) > QUICK_SECONDS:
        note(f"{plural(total, 'run')} on {plural(cores, 'core')}: about {ago(price.usual_seconds(total, cores))}, "
             f"at most {ago(price.most_seconds(total, cores))}")  # fmt: skip
    with progress(scenarios, runs) as told:
        found = run_all(looked, scenarios, runs, seed=seed, processes=cores, told=told)
    summaries = {name: summary(done) for name, done in found.items()}
    if output is Form.JSON:
        say(document(as_record(looked, world, scenarios, summaries, runs, seed)))
    else:
        parts = (world_words(plan, world), table(scenarios, summaries), "\n".join(remarks(plan, scenarios, summaries)))
        say("\n\n".join(parts))


def wanted(given: Sequence[str], known: Mapping[str, object]) -> list[str]:
    """Return the names of scenarios, with `all` taken apart."""
    return [name for item in given for name in (list(known) if item == "all" else [item])]


@contextmanager
def progress(scenarios: "Sequence[Scenario]", runs: int) -> Iterator[Told | None]:
    """Show on a terminal how far the runs are; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   console=Console(stderr=True), transient=True)  # fmt: skip
    with bar:
        task = bar.add_task("", total=runs * len(scenarios))
        yield lambda scenario, _: bar.update(task, advance=1, description=scenario.name)


SHARES = ("promoted", "rolled_back", "inconclusive")
SPREADS = ("exposure", "rollback_seconds", "promotion_seconds")

HEAD = ["SCENARIO", "PROMOTED", "ROLLED BACK", "NO ANSWER", "CANARY ROWS UNTIL ROLLBACK", "TIME TO PROMOTION"]


def table(scenarios: "Sequence[Scenario]", summaries: "Mapping[str, Summary]") -> str:
    """Return the results as a table: shares with their 95 % interval, means with their standard error."""
    rows = [HEAD]
    for scenario in scenarios:
        found = summaries[scenario.name]
        shares = [share_words(share) for share in (found.promoted, found.rolled_back, found.inconclusive)]
        rows.append([scenario.name, *shares, rows_words(found.exposure), time_words(found.promotion_seconds)])
    return columns(rows)


def share_words(share: "Share") -> str:
    """Return a share with its interval, in percent."""
    low, high = share.interval
    return f"{100 * share.share:.3g} % ({100 * low:.0f}-{100 * high:.0f})"


def rows_words(spread: "Spread") -> str:
    """Return numbers of rows; a dash of none."""
    if math.isnan(spread.mean):
        return "-"
    error = f" ±{spread.error:,.0f}" if math.isfinite(spread.error) else ""
    return f"{spread.mean:,.0f}{error}, p50 {spread.p50:,.0f}, p90 {spread.p90:,.0f}"


def time_words(spread: "Spread") -> str:
    """Return times; a dash of none."""
    from .words import ago

    if math.isnan(spread.mean):
        return "-"
    error = f" ±{ago(spread.error)}" if math.isfinite(spread.error) else ""
    return f"{ago(spread.mean)}{error}, p90 {ago(spread.p90)}"


def remarks(plan: "Plan", scenarios: "Sequence[Scenario]", summaries: "Mapping[str, Summary]") -> Iterator[str]:
    """Yield what each scenario is, and what a reader should not overlook."""
    for scenario in scenarios:
        yield f"{scenario.name}: {scenario.about}"
    alpha = plan.analysis.alpha
    for scenario in scenarios:
        found = summaries[scenario.name]
        if scenario.equal and found.rolled_back.interval[0] > alpha:
            yield f"! {scenario.name}: rolled back more often than alpha ({100 * alpha:.3g} %) allows"
        if not scenario.equal and not scenario.name.startswith("half") and found.promoted.interval[0] > alpha:
            yield f"! {scenario.name}: {found.promoted.count} of {found.promoted.of} bad canaries were promoted"
        if found.inconclusive.share > 0.5:
            yield f"! {scenario.name}: mostly no answer: {found.reason}"


def as_record(
    plan: "Plan",
    world: "World",
    scenarios: "Sequence[Scenario]",
    summaries: "Mapping[str, Summary]",
    runs: int,
    seed: int,
) -> dict[str, Any]:
    """Return the results as a JSON object; what is undefined is null."""
    return {
        "rollout": plan.name,
        "runs": runs,
        "seed": seed,
        "every_ms": plan.analysis.every_ms,
        "rows_per_second": world.rows_per_second,
        "rows_per_call": world.rows_per_call,
        "keys": world.keys,
        "base": asdict(world.base),
        "scenarios": [
            {
                "name": scenario.name,
                "about": scenario.about,
                "equal": scenario.equal,
                **{name: share_record(getattr(found, name)) for name in SHARES},
                **{name: asdict(getattr(found, name)) for name in SPREADS},
                "reason": found.reason,
            }
            for scenario in scenarios
            for found in [summaries[scenario.name]]
        ],
    }  # fmt: skip


def share_record(share: "Share") -> dict[str, Any]:
    """Return a share as a JSON object."""
    return {"count": share.count, "of": share.of, "share": share.share, "interval": list(share.interval)}
