"""Draw `docs/demo.svg` from a real run of the demo: the live view in mid-play, then the summary.

python docs/picture.py [SCENARIO] [FILE]
"""

import io
import re
import sys
import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from coalmine.demo.performance import RATE, play_out
from coalmine.demo.scenario import Scenario, scenario_named
from coalmine.demo.screen import frame
from coalmine.demo.story import Story
from coalmine.demo.summary import summary
from coalmine.policies import Plan

WIDTH = 104
"""Columns: the widest line of the view fits."""


class Photographer:
    """A screen that keeps the last view before the verdict that has findings to show."""

    def __init__(self, scenario: Scenario, plan: Plan, story: Story) -> None:
        self.scenario, self.plan, self.story = scenario, plan, story
        self.began = time.monotonic()
        self.asked = 0
        self.photograph: RenderableType | None = None

    def __enter__(self) -> "Photographer":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, seconds: float, doing: str) -> None:
        """Take a photograph; once the story has a view with findings, only until the verdict."""
        view = self.story.view
        if view is None or not view.findings or (self.photograph is not None and not self.story.phase.has_attempt):
            return
        drawn = frame(self.scenario, self.story, self.plan, seconds, len(self.story.answers.ids), doing, None)
        # Rendered at once: the story goes on, the photograph must not.
        console = Console(width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(drawn)
        self.photograph = Text.from_ansi(console.file.getvalue().rstrip())  # type: ignore[attr-defined]


def main(arguments: list[str]) -> None:
    """Play, then write the picture."""
    scenario = scenario_named(arguments[0] if arguments else "crash")
    target = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).with_name("demo.svg")
    taken: list[Photographer] = []

    def screen_for(plan: Plan, story: Story, _: object) -> Photographer:
        taken.append(Photographer(scenario, plan, story))
        return taken[0]

    ending = play_out(scenario, RATE, None, screen_for)
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Group(taken[0].photograph or "", Text(), Rule(style="dim"), Text(), summary(ending)), highlight=False)
    drawing = console.export_svg(title=f"coalmine demo --scenario {scenario.name}")
    target.write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL))  # no fonts from elsewhere
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
