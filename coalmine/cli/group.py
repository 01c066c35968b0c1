"""The group of all commands: global flags anywhere, every error as one sentence with the next step and an exit code."""

import os
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from coalmine.errors import CoalmineError, RolloutFileError

from .exits import Exit

__all__ = ["CommandGroup", "fail"]

GLOBAL_FLAGS = frozenset({"--bootstrap-server", "--namespace", "--config"})
"""Flags of the program that people also write behind the command, as with every Kafka tool."""


class CommandGroup(TyperGroup):
    """Runs a command and turns what it raises into a message and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the global flags moved to the front."""
        return super().parse_args(ctx, with_global_flags_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CoalmineError as error:
            fail(error)
            raise typer.Exit(Exit.FAILED) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            raise typer.Exit(Exit.INTERRUPTED) from error


def with_global_flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the global flags and their values in front, up to a `--`."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in GLOBAL_FLAGS:
            front += [argument, *[value for value in [next(waiting, None)] if value is not None]]
        elif argument.partition("=")[0] in GLOBAL_FLAGS:
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def fail(error: CoalmineError) -> None:
    """Print an error on stderr. One that has several parts gets a line for each."""
    if isinstance(error, RolloutFileError):
        count = len(error.problems)
        typer.echo(f"{error}\n{count} {'error' if count == 1 else 'errors'}", err=True)
        return
    for line in str(error).splitlines():
        colour = False if "NO_COLOR" in os.environ else None  # None: on a terminal only
        typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True, color=colour)
        typer.echo(line, err=True)
