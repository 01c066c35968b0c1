"""What a play shows while it runs: a live view on a terminal, one line for each change anywhere else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from coalmine.cli.view import rates, render
from coalmine.policies import Plan
from coalmine.streams.wire.messages import RolloutView

from .scenario import Scenario
from .story import Move, Story

__all__ = ["Lines", "LiveView", "Screen", "event_time", "frame"]

REFRESHES_A_SECOND = 5


class Screen(Protocol):
    """Shows a story as it goes on."""

    def __enter__(self) -> "Screen": ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, seconds: float, doing: str) -> None:
        """Show where the story stands `seconds` after the curtain rose; `doing` says what is waited for."""
        ...


def event_time(ms: int | None) -> str:
    """Return a time of the flights as people say it; a dash where there is none.

    >>> event_time(1362114300000)
    'Fri 1 Mar 05:05'
    """
    if ms is None:
        return "-"
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%a} {moment.day} {moment:%b %H:%M}"


def answers_line(story: Story, asked: int) -> str:
    """Return how many requests were sent, and who answered them."""
    answers = story.answers
    line = f"{asked:,} requests, {len(answers.ids):,} answered: stable {answers.by_variant['stable']:,}"
    if rescued := answers.fallbacks.total():
        line += f" ({rescued:,} of them for the canary)"
    return line + f", canary {answers.by_variant['canary']:,}, errors {answers.errors.total():,}"


def frame(
    scenario: Scenario, story: Story, plan: Plan, seconds: float, asked: int, doing: str, before: RolloutView | None
) -> RenderableType:
    """Return the whole live view; `before` is an older view of the rollout, for its requests a second."""
    title = Text.assemble(
        ("coalmine demo ", "bold"), (scenario.name, "bold cyan"), f"  {seconds:4.0f} s",
        (f"  flights of {event_time(story.departed_ms)}" if story.departed_ms else "", "dim"),
    )  # fmt: skip
    parts: list[RenderableType] = [title, Text(scenario.about, "dim"), Text()]
    parts += [Text(answers_line(story, asked)), Text(doing, "dim"), Text()]
    view = story.view
    if view is not None and story.moves:
        speed = rates(before, view) if before else {}
        parts.append(render(view, story.events, plan=plan, now=datetime.now(UTC), requests_per_second=speed))
    return Group(*parts)


class LiveView:
    """The live view of a terminal."""

    def __init__(
        self, console: Console, scenario: Scenario, story: Story, plan: Plan, asked: Callable[[], int]
    ) -> None:
        self._scenario = scenario
        self._story = story
        self._plan = plan
        self._asked = asked
        # On a low terminal the end is cut off: what matters most stands first.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._views: list[RolloutView] = []
        self._shown = 0.0

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The last drawing of rich is never cropped: what is too long for the terminal could not be erased again.
        self._live.update(Text())
        self._live.stop()

    def show(self, seconds: float, doing: str) -> None:
        """Draw the view, at most `REFRESHES_A_SECOND` times a second."""
        if seconds - self._shown < 1 / REFRESHES_A_SECOND:
            return
        self._shown = seconds
        view = self._story.view
        if view is not None and (not self._views or view is not self._views[-1]):
            self._views = [*self._views, view][-4:]
        before = self._views[0] if len(self._views) > 1 else None
        drawn = frame(self._scenario, self._story, self._plan, seconds, self._asked(), doing, before)
        self._live.update(drawn, refresh=True)


class Lines:
    """One line for each change: for logs, pipes and people who read afterwards."""

    def __init__(self, console: Console, story: Story) -> None:
        self._console = console
        self._story = story
        self._moves = 0
        self._doing = ""

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, seconds: float, doing: str) -> None:
        """Print what is new."""
        if doing != self._doing:
            self._doing = doing
            self._print(seconds, doing)
        for move in self._story.moves[self._moves :]:
            self._print(seconds, move_words(move))
        self._moves = len(self._story.moves)

    def _print(self, seconds: float, words: str) -> None:
        self._console.print(f"[{seconds:5.1f} s] {words}", highlight=False, markup=False, soft_wrap=True)


def move_words(move: Move) -> str:
    """Return a move on one line: what, who, why (a rollback tells why by itself)."""
    by, reason = move.command.issued_by or "somebody", move.command.reason
    why = f": {reason}" if reason and reason not in move.message else ""
    return f"{move.message} ({by}{why})"
