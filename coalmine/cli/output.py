"""Where results go: stdout, plain without a terminal, as a table, JSON or YAML."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["columns", "console", "document", "is_terminal", "note", "say", "yaml_text"]

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


def console() -> "Console":
    """Return a console on stdout; rich itself obeys NO_COLOR and leaves colour out of files and pipes."""
    from rich.console import Console

    return Console(highlight=False) if is_terminal() else Console(width=PLAIN_WIDTH, highlight=False)


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
    from io import StringIO

    import msgspec
    from ruamel.yaml import YAML

    text = StringIO()
    YAML().dump(msgspec.to_builtins(record), text)
    return text.getvalue().rstrip("\n")
