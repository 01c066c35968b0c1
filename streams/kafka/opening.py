"""Making a client of librdkafka: a value that it refuses becomes an error in the words of who wrote the settings."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from coalmine.errors import ConfigError

from .client import ALIASES

__all__ = ["opened"]

Client = TypeVar("Client")


def opened(make: Callable[[dict[str, Any]], Client], properties: Mapping[str, Any]) -> Client:
    """Return the client that `make` builds from librdkafka's `properties`; raise ConfigError when it refuses them."""
    try:
        return make({**properties})
    except KafkaException as error:
        said = error.args[0].str().strip()
        for alias, name in ALIASES.items():
            said = said.replace(f'"{alias}"', f'"{name}"').replace(f"`{alias}`", f"`{name}`")
        raise ConfigError(f"kafka: {said}; correct it in [kafka]") from error
