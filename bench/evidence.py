"""Figures as a file: what was run, when, on what machine, what came out, and which bars it met."""

import shlex
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .rig import machine

__all__ = ["EVIDENCE", "Report"]

EVIDENCE = Path(__file__).parent.parent / "docs" / "evidence"


@dataclass
class Report:
    """The figures of one proof.

    `name` is that of its file, `about` says in a paragraph how it was measured, `command` measures it again.
    """

    name: str
    about: str
    lines: list[str] = field(default_factory=list)
    figures: list[tuple[str, str, str, str]] = field(default_factory=list)
    is_met: bool = True
    command: str = field(default_factory=lambda: typed_command())
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def line(self, text: str) -> None:
        """Add a single observation."""
        self.lines.append(text)

    def figure(self, name: str, value: str) -> None:
        """Add a figure that no bar is set for."""
        self.figures.append((name, value, "", ""))

    def bar(self, name: str, value: str, bar: str, met: bool) -> None:
        """Add a figure and whether it meets its bar."""
        self.figures.append((name, value, bar, "met" if met else "**missed**"))
        self.is_met = self.is_met and met

    def text(self) -> str:
        """Return the report as Markdown."""
        seconds = (datetime.now(UTC) - self.began).total_seconds()
        facts = ", ".join(f"{name} {value}" for name, value in machine().items())
        title = self.name[0].upper() + self.name[1:].replace("-", " ")
        table = ["| figure | value | bar | |", "|---|---|---|---|"]
        table += [f"| {' | '.join(row)} |" for row in self.figures]
        runs = ["", "```", *self.lines, "```"] if self.lines else []
        return "\n".join([
            f"# {title}", "", self.about.strip(), "",
            f"- command: `{self.command}`", f"- date: {self.began:%Y-%m-%d %H:%M} UTC, {seconds:.0f} s",
            f"- machine: {facts}", f"- result: {'all bars met' if self.is_met else '**a bar was missed**'}",
            "", *table, *runs, "",
        ])  # fmt: skip

    def publish(self) -> bool:
        """Print the report, write it into `docs/evidence`, and return whether its bars are met."""
        text = self.text()
        print(text, flush=True)
        EVIDENCE.mkdir(parents=True, exist_ok=True)
        (EVIDENCE / f"{self.name}.md").write_text(text)
        return self.is_met


def typed_command() -> str:
    """Return what was typed to start this process, without the path of the interpreter."""
    if "-m" in sys.orig_argv:
        return shlex.join(["python", *sys.orig_argv[sys.orig_argv.index("-m") :]])
    return shlex.join(["python", *sys.argv])
