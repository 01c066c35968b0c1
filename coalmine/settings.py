"""Settings of the platform team: one frozen value from flags, environment, `coalmine.toml` and defaults.

The first of these that names a setting wins. In the environment a setting is `COALMINE_` and its name, sections
joined by two underscores: `COALMINE_MODELS__ROOT=/srv/models`. Settings of the Kafka clients keep their librdkafka
names in the section `kafka`; in the environment their dots are single underscores:
`COALMINE_KAFKA__BOOTSTRAP_SERVERS=broker:9092`.

Everything that may be set, with unit and default, stands in the classes below and nowhere else.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from coalmine.errors import ConfigError
from coalmine.streams.kafka.client import PROPERTIES, KafkaSettings

from .suggest import did_you_mean, nearest

__all__ = ["ModelSettings", "RoutingSettings", "Settings", "load_settings"]

PREFIX = "COALMINE_"
DEFAULT_FILE = Path("coalmine.toml")
FILE_VARIABLE = "COALMINE_CONFIG"
"""Names another file of settings than `./coalmine.toml`."""

FOREIGN = re.compile(r"COALMINE_(CONFIG|TEST_\w+|REQUIRE_KAFKA)")
"""Variables with our prefix that are no settings: the file's name, and what steers our own tests."""


class Section(BaseModel):
    """A part of the settings: frozen, and a name that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(Section):
    """Where model packages are.

    root: directory that addresses of packages in rollout files are relative to.
    """

    root: Path = Path()


class RoutingSettings(Section):
    """How keys are assigned.

    secret: mixed into the routing hash, so that clients who choose their keys cannot choose their variant. Equal on
    all workers; changing it during an attempt moves keys.
    """

    secret: str = Field(default="", repr=False)


UNDERSCORED = {name.replace("_", "."): name for name in PROPERTIES if "_" in name}
"""The Kafka settings that have an underscore themselves, by what becomes of them as names of variables."""

DEFAULT_KAFKA = {"bootstrap.servers": "localhost:9092"}


def client_settings(written: object) -> object:
    """Return Kafka settings with flat librdkafka names and text as values, however they were nested."""
    return {**DEFAULT_KAFKA, **dict(flat(written))} if isinstance(written, Mapping) else written


def flat(written: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and value of each setting; TOML makes tables of a bare `bootstrap.servers`."""
    for name, value in written.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value).lower() if isinstance(value, bool) else str(value)


class Settings(Section):
    """All settings of a process.

    namespace: first part of the names of the topics that all rollouts share; letters, digits and dashes.
    kafka: settings of the Kafka clients by their librdkafka names; which ones stands in `streams.client`.
    broker: `embedded` for the demo's own, whose topics have no settings to check at the start.
    """

    namespace: str = Field(default="coalmine", pattern=r"^[a-zA-Z0-9-]{1,40}$")
    kafka: Annotated[dict[str, str], BeforeValidator(client_settings)] = Field(default=DEFAULT_KAFKA, repr=False)
    models: ModelSettings = ModelSettings()
    routing: RoutingSettings = RoutingSettings()
    broker: Literal["kafka", "embedded"] = "kafka"


class TomlSource(TomlConfigSettingsSource):
    """`coalmine.toml`, with flat names of Kafka settings, so that the environment can override one of them."""

    def __call__(self) -> dict[str, Any]:
        """Return what the file says."""
        values = super().__call__()
        kafka = values.get("kafka")
        return {**values, "kafka": dict(flat(kafka))} if isinstance(kafka, Mapping) else values


class EnvironmentSource(EnvSettingsSource):
    """`COALMINE_*`, with the dots of Kafka settings that the names of variables cannot have."""

    def __call__(self) -> dict[str, Any]:
        """Return what the environment says."""
        values = super().__call__()
        kafka = values.get("kafka")
        if isinstance(kafka, Mapping):
            dotted = {name.replace("_", "."): value for name, value in flat(kafka)}
            values["kafka"] = {UNDERSCORED.get(name, name): value for name, value in dotted.items()}
        return values


def sourced(file: Path | None) -> type[BaseSettings]:
    """Return a class whose instances gather the settings from flags, environment and `file`, in this order."""

    class Sourced(BaseSettings, Settings):  # pyright: ignore[reportIncompatibleVariableOverride] # pydantic merges them
        model_config = SettingsConfigDict(
            env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, EnvironmentSource(settings_cls), TomlSource(settings_cls, file))

    return Sourced


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Return the settings of this process; `flags` win over everything, `config` names another file.

    Raises ConfigError for a file that is missing although it was named, for unknown names (with the nearest known
    one) and for values that do not fit, all at once.
    """
    if unknown := list(unknown_variables(os.environ)):
        raise ConfigError("\n".join(unknown))
    file = file_of_settings(config)
    try:
        settings = Settings.model_validate(sourced(file)(**flags).model_dump())
    except TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    except (ValidationError, SettingsError) as error:
        raise ConfigError("\n".join(sentences(error, file))) from error
    KafkaSettings(settings.kafka)  # raises for what the clients would not understand
    return settings


def file_of_settings(config: Path | None) -> Path | None:
    """Return the file to read, None when there is none; a named one must exist."""
    named = config or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is not None and not named.is_file():
        raise ConfigError(f"{named} does not exist; name an existing file of settings")
    return named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def names() -> list[str]:
    """Return every setting by its dotted name: `namespace`, `models.root`."""
    found = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        inside = kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else None
        found += [name] if inside is None else [f"{name}.{inner}" for inner in inside]
    return found


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper().replace(".", "__")


def unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each variable with our prefix that is no setting."""
    known = [variable(name) for name in names()]
    for name in sorted(environment):
        folded = name.upper()
        if not folded.startswith(PREFIX) or FOREIGN.fullmatch(folded) or folded in known:
            continue
        if not folded.startswith(variable("kafka") + "__"):
            # The prefix is equal in all of them: with it, everything would look near.
            near = nearest(folded.removeprefix(PREFIX), [item.removeprefix(PREFIX) for item in known])
            meant = f"; did you mean {PREFIX}{near}?" if near else ""
            yield f"{name} in the environment is no setting{meant}; correct or unset it"


def sentences(error: ValidationError | SettingsError, file: Path | None) -> Iterator[str]:
    """Yield what is wrong, by the dotted name of the setting; values are not shown, they may be secrets."""
    if isinstance(error, SettingsError):
        yield f"{error}; write it as the file of settings would"
        return
    for detail in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            yield f"{file}: {name} is no setting{did_you_mean(name, names())}; correct or remove it"
        else:
            places = f"{file} or {variable(name)}" if file else variable(name)
            yield f"setting {name}: {detail['msg'][0].lower()}{detail['msg'][1:]}; correct it in {places}"
