"""One rollout on a screen, as a pure function from records to something rich can print. The demo uses it too."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coalmine.policies import OnSuccess, is_bake
from coalmine.policies.wording import e_value, percent, points

from .words import ago, clock, milliseconds, phase, plural, stage, status, weight

if TYPE_CHECKING:
    from coalmine.policies import Plan
    from coalmine.streams.wire.messages import Event, FindingRecord, RolloutView

__all__ = ["EVENTS_SHOWN", "rates", "render"]

EVENTS_SHOWN = 6
"""Last events under a rollout."""

LARGEST_SHOWN = 10_000
"""E-values above this are cut off in the table; 20 to 1,000 decide."""

DISTANCES = ("predictions", "features")
"""Measures whose estimate is a distance of distributions, and no difference of rates."""

EVENT_COLOURS = {"refused": "yellow", "rolled_back": "red", "promoted": "green"}


def render(
    view: "RolloutView",
    events: "Sequence[Event]" = (),
    *,
    plan: "Plan | None" = None,
    now: datetime | None = None,
    requests_per_second: Mapping[str, float] | None = None,
    judge_alive: bool = True,
) -> RenderableType:
    """Return the screen of one rollout.

    `plan` gives the step track its weights and holds, `now` the times since, `requests_per_second` (by variant, see
    `rates`) its column. `judge_alive` False says that automatic decisions are off.
    """
    parts: list[RenderableType] = [headline(view), message(view, judge_alive)]
    if plan is not None and view.step is not None:
        parts += [Text(), track(view, plan), progress(view, plan, now)]
    if view.stable is not None:
        parts += [Text(), variants(view, requests_per_second or {})]
    if view.findings:
        parts += [Text(), checks(view), legend(view)]
    if events:
        parts += [Text(), history(events[-EVENTS_SHOWN:])]
    return Group(*parts)


def headline(view: "RolloutView") -> Text:
    """Return name, phase, weight and where in the log this is."""
    words, colour = phase(view.phase)
    line = Text.assemble((view.rollout, "bold"), "  ", (words, f"bold {colour}"), "  ")
    if view.canary is not None and view.phase != "rolled_back":
        line.append(f"canary gets {weight(view.weight)}", "bold")
        line.append(f" (of all traffic {weight(round(view.actual_weight, 1))})  ")
    where = f"revision {view.revision}" + (f", attempt {view.attempt}" if view.attempt is not None else "")
    return line.append(where, "dim")


def message(view: "RolloutView", judge_alive: bool) -> Text:
    """Return why it is where it is, and what is missing for it to move."""
    line = Text(view.message)
    workers = view.workers
    if workers is not None and view.phase == "pending":
        loaded = f"canary loaded by {workers.ready} of {plural(workers.of, 'worker')}"
        line.append(f"; {loaded if workers.of else 'no worker is alive'}")
    if not judge_alive:
        line.append("\n! no analyzer is alive: automatic decisions are off", "yellow")
    return line


def track(view: "RolloutView", plan: "Plan") -> Text:
    """Return the steps of the ramp with the one that is on."""
    assert view.step is not None
    line = Text("  ")
    for index, step in enumerate(plan.stages, 1):
        name = f"bake {weight(step.weight)}" if is_bake(plan, index) else weight(step.weight)
        if index < view.step.index:
            line.append(f"✔ {name}", "green")
        elif index == view.step.index:
            line.append(f"▶ {name}", "bold cyan")
        else:
            line.append(f"○ {name}", "dim")
        line.append(" ─ ", "dim")
    return line.append("○ promote" if plan.on_success is OnSuccess.PROMOTE else "○ a person decides", "dim")


def progress(view: "RolloutView", plan: "Plan", now: datetime | None) -> Text:
    """Return how far the step is that is on."""
    assert view.step is not None
    step = plan.stages[view.step.index - 1]
    where = stage(view.step.index, view.step.of)
    line = Text(f"  {where}, {view.step.have:,} of {view.step.need:,} samples")
    if now is not None:
        since = (now - datetime.fromisoformat(view.step.since)).total_seconds()
        line.append(f", for {ago(since)}")
        if plan.analysis.clock.value == "wall":
            line.append(f" (hold {ago(step.hold_ms / 1000)})")
    return line


def grid(left: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Return an empty table with headed columns: text to the left, numbers to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, no_wrap=True, justify="right")
    return table


def indented(table: Table) -> Padding:
    """Return a table two columns from the edge."""
    return Padding(table, (0, 0, 0, 2))


def variants(view: "RolloutView", requests_per_second: Mapping[str, float]) -> Padding:
    """Return a row for each variant."""
    table = grid(("variant", "model"), ("weight", "req/s", "rows", "faults", "p50", "p99", "mean"))
    canary_weight = view.weight if view.canary is not None else 0.0
    for name, ref, share in (("stable", view.stable, 100 - canary_weight), ("canary", view.canary, canary_weight)):
        if ref is None:
            continue
        figures = view.variants.get(name, {})
        table.add_row(
            name,
            model_name(ref.name, ref.version, ref.uri),
            weight(share),
            f"{requests_per_second[name]:,.0f}" if name in requests_per_second else "-",
            f"{figures.get('rows', 0):,.0f}",
            faults(figures),
            milliseconds(figures.get("p50_ms")),
            milliseconds(figures.get("p99_ms")),
            f"{figures['mean_prediction']:.3g}" if "mean_prediction" in figures else "-",
        )
    return indented(table)


def model_name(name: str, version: str, uri: str) -> str:
    """Return name and version of a model, its address where the package was not read."""
    return f"{name} {version}" if name else uri


def faults(figures: Mapping[str, float]) -> str:
    """Return the count of faults and their share."""
    count = figures.get("faults", 0)
    rate = figures.get("fault_rate")
    return f"{count:,.0f}" + (f" ({percent(rate)})" if rate is not None and count else "")


def checks(view: "RolloutView") -> Padding:
    """Return a row for each check of the last look."""
    table = grid(("check", "verdict"), ("canary", "stable", "difference, pp", "margin", "samples", "e up", "e back"))
    for finding in view.findings:
        words, colour = status(finding.status)
        canary, stable = rate_of(finding, "canary"), rate_of(finding, "stable")
        table.add_row(
            finding.check + ("" if finding.role == "guardrail" else f" ({finding.role})"),
            Text(words, colour),
            canary,
            stable,
            difference(finding),
            margin(finding),
            f"{finding.n.get('requests', finding.n.get('canary', 0)):,}",
            short_e(finding.log_e_promotion),
            short_e(finding.log_e_rollback),
        )
    return indented(table)


def legend(view: "RolloutView") -> Text:
    """Return what the e-values of the table mean and when they decide."""
    threshold = next((found.threshold for found in view.findings if found.threshold is not None), None)
    decides = "" if threshold is None else f", {e_value(threshold)} decides"
    return Text(f"  e up: not worse by the margin; e back: worse than stable{decides}", "dim")


def rate_of(finding: "FindingRecord", variant: str) -> str:
    """Return the rate of a variant in the unit the finding rests on; a dash without data."""
    n = finding.n.get(variant, 0)
    events = finding.values.get(f"{finding.measure}.{variant}_events")
    return percent(events / n) if n and events is not None else "-"


def difference(finding: "FindingRecord") -> str:
    """Return the difference canary minus stable in percentage points with its interval."""
    if finding.estimate is None:
        return "-"
    if finding.measure in DISTANCES:
        return f"{finding.estimate:.3g} of 1"
    estimate = f"{100 * finding.estimate:+.2f}"
    if finding.interval is None:
        return estimate
    low, high = finding.interval
    return f"{estimate} [{100 * low:+.2f}, {100 * high:+.2f}]"


def margin(finding: "FindingRecord") -> str:
    """Return the margin of the step in the unit of the check."""
    if finding.margin is None:
        return "-"
    return f"{finding.margin:.3g}" if finding.measure in DISTANCES else points(finding.margin)


def short_e(log_e: float | None) -> str:
    """Return an e-value for a table; beyond ten thousand nothing depends on its digits."""
    if log_e is None:
        return "-"
    return e_value(log_e) if log_e < math.log(LARGEST_SHOWN) else f">{LARGEST_SHOWN:,}"


def history(events: "Sequence[Event]") -> Padding:
    """Return the events, oldest first."""
    table = grid(("", ""))
    table.show_header = False
    table.columns[0].style = "dim"
    table.add_column()
    for event in events:
        colour = EVENT_COLOURS.get(event.result or "") or EVENT_COLOURS.get(
            event.phase if event.kind == "phase" else ""
        )
        table.add_row(clock(event.time), Text(event_words(event), colour or ""), event.reason)
    return indented(table)


def event_words(event: "Event") -> str:
    """Return what kind of event it is: `pause refused`, `rolled back`, `verdict`."""
    if event.kind == "result":
        return f"{(event.command or 'record').replace('_', ' ')} {event.result}"
    return event.phase.replace("_", " ") if event.kind == "phase" else event.kind


def rates(before: "RolloutView", after: "RolloutView") -> dict[str, float]:
    """Return requests a second by variant between two views of one attempt; empty when they say nothing."""
    seconds = (datetime.fromisoformat(after.time) - datetime.fromisoformat(before.time)).total_seconds()
    if seconds <= 0 or before.attempt != after.attempt:
        return {}
    rows = {name: figures.get("rows", 0) - before.variants.get(name, {}).get("rows", 0)
            for name, figures in after.variants.items()}  # fmt: skip
    return {name: count / seconds for name, count in rows.items() if count >= 0}
