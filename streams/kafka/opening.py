"""Making a client of librdkafka: a value that it refuses becomes an error in the words of who wrote the settings."""

from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from coalmine.errors import ConfigError

from .client import ALIASES

__all__ = ["opened"]

Made = TypeVar("Made")


def opened(make: Callable[[dict[str, Any]], Made], properties: dict[str, Any]) -> Made:
    """Return the client that `make` builds from librdkafka's `properties`; raise ConfigError when it refuses them."""
    try:
        return make(properties)
    except KafkaException as error:
        said = error.args[0].str().strip()
        for alias, name in ALIASES.items():
            said = said.replace(f'"{alias}"', f'"{name}"').replace(f"`{alias}`", f"`{name}`")
        raise ConfigError(f"kafka: {said}; correct it in [kafka]") from error
