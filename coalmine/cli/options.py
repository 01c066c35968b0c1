"""Arguments and flags that several commands share, and the settings they lead to."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coalmine.errors import CommandError

from ..suggest import did_you_mean

if TYPE_CHECKING:
    from coalmine.policies import State
    from coalmine.settings import Settings
    from coalmine.streams.operator import Operator

__all__ = [
    "Files",
    "Flags",
    "Format",
    "Name",
    "NoWait",
    "Output",
    "Reason",
    "Yes",
    "connect",
    "known_state",
    "settings_of",
]


@dataclass(frozen=True, slots=True)
class Flags:
    """The global flags as given."""

    config: Path | None = None
    bootstrap_server: str | None = None
    namespace: str | None = None


class Format(StrEnum):
    """How a state is printed; `json` and `yaml` are the record of `{ns}.rollouts`."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the rollout.", show_default=False)]
Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Rollout files.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; shown in the events.", show_default=False)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the workers to obey.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="Form of the output.")]


def settings_of(ctx: typer.Context) -> "Settings":
    """Return the settings of this call: flags before environment before file."""
    from coalmine.settings import load_settings

    flags: Flags = ctx.obj
    given: dict[str, Any] = {}
    if flags.bootstrap_server:
        given["kafka"] = {"bootstrap.servers": flags.bootstrap_server}
    if flags.namespace:
        given["namespace"] = flags.namespace
    return load_settings(flags.config, **given)


def connect(ctx: typer.Context) -> "Operator":
    """Return the client for the namespace of this call."""
    from coalmine.streams.kafka.client import KafkaSettings
    from coalmine.streams.operator import Operator

    settings = settings_of(ctx)
    return Operator(KafkaSettings(settings.kafka), settings.namespace)


def known_state(operator: "Operator", name: str) -> "State":
    """Return the state of a rollout by our own fold; raise CommandError for a name that is not in the log."""
    operator.fold()
    states = operator.picture.states
    if name not in states:
        meant = did_you_mean(name, states)
        begin = f"; begin it with `coalmine start {name} --canary URI --file FILE`"
        raise CommandError(f"no rollout {name!r} in namespace {operator.topics.namespace!r}{meant or begin}")
    return states[name]
