"""Where results go: stdout, plain without a terminal, as a table, JSON or YAML."""

import sys
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["columns", "document", "is_terminal", "note", "say", "show", "yaml_text"]

PLAIN_WIDTH = 120
"""Columns of a table when nobody says how wide the screen is; files and pipes have no edge."""


def say(text: str) -> None:
    """Print a result on stdout."""
    typer.echo(text)


def note(text: str) -> None:
    """Print on stderr what is not the result: a warning, who has to act."""
    typer.echo(text, err=True)


def is_terminal() -> bool:
    """Tell whether a person watches stdout."""
    return sys.stdout.isatty()


def show(renderable: "RenderableType") -> None:
    """Print a screen: in colour on a terminal (NO_COLOR is obeyed), else as plain lines."""
    from rich.console import Console

    if is_terminal():
        Console(highlight=False).print(renderable)
        return
    text = StringIO()
    Console(file=text, width=PLAIN_WIDTH, highlight=False).print(renderable)
    say("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns two blanks apart; the last column is as long as it is."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def document(record: Any) -> str:
    """Return a record of the wire, or a list of them, as indented JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(record), indent=2).decode()


def yaml_text(record: Any) -> str:
    """Return a record of the wire, or a list of them, as YAML."""
    import msgspec
    from ruamel.yaml import YAML

    text = StringIO()
    YAML().dump(msgspec.to_builtins(record), text)
    return text.getvalue().rstrip("\n")
