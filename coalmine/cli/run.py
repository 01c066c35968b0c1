"""Commands that run for a while: the workers, and the demo."""

from enum import StrEnum
from typing import Annotated

import typer

from coalmine.errors import BrokerError, ConfigError
from coalmine.streams.exits import BAD_CONFIG, UNREACHABLE

from .group import fail
from .options import Files, Flags, settings_of

__all__ = ["Role", "demo", "run"]


class Role(StrEnum):
    """What a process does."""

    ALL = "all"
    SCORE = "score"
    ANALYZE = "analyze"


def run(
    ctx: typer.Context,
    files: Files,
    role: Annotated[Role, typer.Option("--role", help="What these processes do.")] = Role.ALL,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Scoring processes.")] = 1,
) -> None:
    """Run the workers. Ends with 0 stopped, 64 bad file or settings, 69 unreachable, 70 fault, 71 slow stop."""
    from ..rollout_file import load, require_runnable

    try:
        plans = [load(file)[0] for file in files]
        for plan, file in zip(plans, files, strict=True):
            require_runnable(plan, str(file))
        settings = settings_of(ctx)
        from coalmine.run import run as run_workers

        code = run_workers(plans, settings, role.value, processes)
    except ConfigError as error:
        fail(error)
        raise typer.Exit(BAD_CONFIG) from error
    except BrokerError as error:
        fail(error)
        raise typer.Exit(UNREACHABLE) from error
    raise typer.Exit(code)


def demo(
    ctx: typer.Context,
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="NAME", help="Which story: clean, crash or slow.")
    ] = "clean",
    speed: Annotated[float, typer.Option("--speed", min=0.1, help="Times the normal traffic.")] = 1.0,
) -> None:
    """Play a canary release on real flights. Needs no infrastructure; --bootstrap-server plays it on a real Kafka."""
    from coalmine.demo import play

    flags: Flags = ctx.obj
    raise typer.Exit(play(scenario, speed, flags.bootstrap_server))
