"""The table of commands, in the groups of `coalmine --help`."""

from pathlib import Path
from typing import Annotated

import typer

from coalmine import __version__

from . import files, look, run, steer
from .group import CommandGroup
from .options import Flags
from .output import say
from .topics import topics

__all__ = ["app"]

TRY, RUN, LOOK, STEER, FILES, SET_UP = "Try", "Run", "Look", "Steer", "Rollout files", "Set up"

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


app.command(rich_help_panel=TRY)(run.demo)
app.command(rich_help_panel=RUN)(run.run)
app.command(rich_help_panel=LOOK)(look.get)
app.command(rich_help_panel=LOOK)(look.wait)
app.command("status", hidden=True)(look.wait)
app.command(rich_help_panel=LOOK)(look.explain)
app.command(rich_help_panel=LOOK)(look.events)
app.command(rich_help_panel=STEER)(steer.start)
app.command(rich_help_panel=STEER)(steer.promote)
app.command(rich_help_panel=STEER)(steer.rollback)
app.command("abort", hidden=True)(steer.rollback)
app.command(rich_help_panel=STEER)(steer.pause)
app.command(rich_help_panel=STEER)(steer.resume)
app.command(rich_help_panel=STEER)(steer.approve)
app.command(rich_help_panel=STEER)(steer.retry)
app.command(rich_help_panel=STEER)(steer.undo)
setting = typer.Typer(no_args_is_help=True, help="Set the weight of a canary by hand.")
setting.command("weight")(steer.set_weight)
app.add_typer(setting, name="set", rich_help_panel=STEER)
app.command(rich_help_panel=STEER)(steer.freeze)
app.command(rich_help_panel=STEER)(steer.unfreeze)
app.command(rich_help_panel=FILES)(files.lint)
app.command(rich_help_panel=FILES)(files.show)
app.add_typer(topics, name="topics", rich_help_panel=SET_UP)
app.command(rich_help_panel=SET_UP)(version)
