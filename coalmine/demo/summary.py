"""How a play ended, in plain words: what was decided, when and why, who answered, and what to type next. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coalmine.cli.words import phase, status, weight
from coalmine.policies import Phase, Start

from .scenario import SCENARIOS, Scenario
from .screen import event_time
from .story import Move, Story

__all__ = ["Ending", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What there is to say when the curtain falls.

    `asked` are the ids of all requests that were sent, `began_ms` is the wall time (epoch ms) when the play began;
    `bootstrap` is the address of a real Kafka, empty for the embedded broker.
    """

    scenario: Scenario
    story: Story
    asked: frozenset[str]
    began_ms: int
    bootstrap: str = ""

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights the canary went through, in order."""
        weights = [move.state.weight for move in self.story.moves if move.state.phase is Phase.PROGRESSING]
        return tuple(weights)

    @property
    def unanswered(self) -> int:
        """Requests that have no answer and no error record."""
        return len(self.asked - self.story.answers.ids)

    @property
    def unasked(self) -> int:
        """Answers to requests that nobody sent."""
        return len(self.story.answers.ids - self.asked)

    @property
    def exactly_once(self) -> bool:
        """Whether every request has exactly one answer or error record."""
        return not (self.unanswered or self.unasked or self.story.answers.repeated)

    @property
    def as_written(self) -> bool:
        """Whether the story ended as it should, by the steps it should."""
        return (self.weights, self.story.phase) == (self.scenario.weights, self.scenario.end)


def summary(ending: Ending) -> RenderableType:
    """Return the summary of a play."""
    return Group(
        headline(ending), Text(), decisions(ending), *map(Text, finding_lines(ending)), Text(),
        *map(Text, answer_lines(ending)), Text(), *map(Text, next_lines(ending)),
    )  # fmt: skip


def headline(ending: Ending) -> Text:
    """Return the verdict on one line."""
    story = ending.story
    if story.phase not in (Phase.PROMOTED, Phase.ROLLED_BACK):
        return Text(f"! no decision in time: the rollout is {story.phase.value}", "bold yellow")
    words, colour = phase(story.phase.value)
    last = story.moves[-1]
    name = model_words(last)
    seconds = (last.wall_ms - ending.began_ms) / 1000
    line = Text.assemble((f"{words} ", f"bold {colour}"), f"after {seconds:.1f} s: ")
    if story.phase is Phase.PROMOTED:
        return line.append(f"{name} is the new stable model and answers everything")
    return line.append(f"{name} gets no more traffic; stable answers everything")


def model_words(last: Move) -> str:
    """Return name and version of the canary of the attempt that ended."""
    ref = last.state.stable if last.state.phase is Phase.PROMOTED else last.state.canary
    return "the canary" if ref is None else f"{ref.name} {ref.version} ({ref.uri})"


def decisions(ending: Ending) -> Table:
    """Return a row for each move: when by the wall and by the flights, what the canary got, and why."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("flights of", no_wrap=True)
    table.add_column("canary gets", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for move in ending.story.moves:
        look = ending.story.look_of(move)
        table.add_row(
            f"{(move.wall_ms - ending.began_ms) / 1000:.1f} s",
            event_time(look.now_ms if look else move.event_ms),
            "100 %" if move.state.phase is Phase.PROMOTED else weight(move.state.weight),
            why(move),
        )
    return table


def why(move: Move) -> Text:
    """Return who moved and for what reason."""
    if isinstance(move.command, Start):
        ref = move.command.canary
        return Text(f"{move.command.issued_by} started canary {ref.name} {ref.version} ({ref.uri})")
    words, colour = phase(move.state.phase.value)
    line = Text()
    if move.state.phase in (Phase.PROMOTED, Phase.ROLLED_BACK):
        line.append(f"{words}: ", colour)
    return line.append(move.command.reason or move.message)


def finding_lines(ending: Ending) -> Iterator[str]:
    """Yield what each check said at the look that ended the attempt; nothing without such a look."""
    last = ending.story.look_of(ending.story.moves[-1]) if ending.story.moves else None
    if last is None:
        return
    yield f"\nThe last of {last.look:,} looks:"
    yield from (f"  {finding.check} {status(finding.status)[0]}: {finding.reason}" for finding in last.findings)


def answer_lines(ending: Ending) -> Iterator[str]:
    """Yield who answered how many requests, and whether each was answered exactly once."""
    answers = ending.story.answers
    once = "each was answered exactly once" if ending.exactly_once else accounts(ending)
    yield f"{len(ending.asked):,} requests: {once}"
    line = f"  stable answered {answers.by_variant['stable']:,}, the canary {answers.by_variant['canary']:,}"
    yield line + (f", {answers.errors.total():,} got an error record" if answers.errors else "")
    if answers.fallbacks:
        causes = ", ".join(f"{code} {count:,}" for code, count in answers.fallbacks.most_common())
        yield f"  stable stepped in for the canary {answers.fallbacks.total():,} times ({causes})"


def accounts(ending: Ending) -> str:
    """Return what is wrong with the count of answers."""
    wrong = {
        "without an answer": ending.unanswered,
        "answered twice": ending.story.answers.repeated,
        "answered unasked": ending.unasked,
    }
    return ", ".join(f"{count:,} {what}" for what, count in wrong.items() if count)


def next_lines(ending: Ending) -> Iterator[str]:
    """Yield what to type next."""
    lines: list[Sequence[str]] = []
    if ending.bootstrap:
        where = f"--bootstrap-server {ending.bootstrap} --namespace {ending.story.namespace.namespace}"
        lines += [(f"coalmine explain {ending.story.rollout} {where}", "why, with all numbers"),
                  (f"coalmine events {ending.story.rollout} {where}", "everything that happened")]  # fmt: skip
    lines += [(f"coalmine demo --scenario {other.name}", other.about)
              for other in SCENARIOS.values() if other is not ending.scenario]  # fmt: skip
    lines.append(("coalmine lint flights.yaml", "write a rollout file of your own"))
    width = max(len(command) for command, _ in lines)
    yield "Next:"
    yield from (f"  {command:<{width}}  {about}" for command, about in lines)
