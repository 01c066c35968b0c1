"""The table of commands, in the groups of `coalmine --help`."""

from pathlib import Path
from typing import Annotated

import typer

from coalmine import __version__

from . import compare, files, look, run, steer
from .estimate import estimate
from .events import events
from .group import CommandGroup
from .options import Flags
from .output import say
from .simulate import simulate
from .start import start
from .topics import topics

__all__ = ["app"]

TRY, RUN, LOOK, STEER, FILES, LEARN, SET_UP = "Try", "Run", "Look", "Steer", "Rollout files", "Learn", "Set up"

ANYWHERE = "Before or behind any command: --bootstrap-server HOST:PORT, --namespace NAME, --config FILE."
EPILOG = "Settings come from flags, COALMINE_* variables and coalmine.toml. Begin with: coalmine demo"

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback()
def program(
    ctx: typer.Context,
    bootstrap_server: Annotated[
        str | None, typer.Option("--bootstrap-server", metavar="HOST:PORT", help="Kafka, instead of the settings'.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Namespace, instead of the settings'.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file, instead of ./coalmine.toml.")
    ] = None,
) -> None:
    """Safe canary releases for models that score events on Kafka."""
    ctx.obj = Flags(config, bootstrap_server, namespace)


def version() -> None:
    """Print the version."""
    say(f"coalmine {__version__}")


COMMANDS = (
    (TRY, run.demo),
    (RUN, run.run),
    (LOOK, look.get),
    (LOOK, look.wait),
    (LOOK, look.explain),
    (LOOK, events),
    (STEER, start),
    (STEER, steer.promote),
    (STEER, steer.rollback),
    (STEER, steer.pause),
    (STEER, steer.resume),
    (STEER, steer.approve),
    (STEER, steer.retry),
    (STEER, steer.undo),
    (STEER, steer.freeze),
    (STEER, steer.unfreeze),
    (FILES, files.lint),
    (FILES, files.show),
    (FILES, compare.diff),
    (FILES, compare.schema),
    (FILES, estimate),
    (LEARN, simulate),
    (SET_UP, version),
)
"""Group and command, in the order of the help; the name of the function is what one types."""

for group, command in COMMANDS:
    app.command(rich_help_panel=group, epilog=ANYWHERE)(command)
app.command("status", hidden=True, epilog=ANYWHERE)(look.wait)
app.command("abort", hidden=True, epilog=ANYWHERE)(steer.rollback)

setting = typer.Typer(no_args_is_help=True, help="Set the weight of a canary by hand: set weight NAME 25%.")
setting.command("weight", epilog=ANYWHERE)(steer.set_weight)
app.add_typer(setting, name="set", rich_help_panel=STEER)
app.add_typer(topics, name="topics", rich_help_panel=SET_UP)
