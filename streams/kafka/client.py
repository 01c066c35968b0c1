"""The settings of Kafka clients: one `[kafka]` mapping under librdkafka's names, translated for every client.

Two libraries talk to the broker: librdkafka (producers, requests and outcomes, followers, administration) and aiokafka
(inside Faust). A user writes each setting once, under librdkafka's name. What a name means to which client stands in
`PROPERTIES`; a name that is not there, or that coalmine must set itself, is refused, because a security setting that
only one of the two clients obeys is worse than an error. Pure: no file is read, no connection is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Flag, auto
from types import MappingProxyType
from typing import Any

from coalmine.errors import ConfigError

__all__ = ["ALIASES", "PROPERTIES", "FaustClient", "KafkaSettings"]


class Client(Flag):
    """A client that understands a setting."""

    PRODUCER = auto()
    READER = auto()
    FAUST = auto()
    LIBRDKAFKA = PRODUCER | READER
    """librdkafka's clients only: Faust's consumer has no such setting and needs none."""
    GROUP = FAUST
    """Members of consumer groups: only Faust's consumer is one."""
    ALL = PRODUCER | READER | FAUST


PROPERTIES: Mapping[str, Client] = MappingProxyType({
    "bootstrap.servers": Client.ALL,
    "client.id": Client.ALL,
    "security.protocol": Client.ALL,
    "sasl.mechanism": Client.ALL,
    "sasl.mechanisms": Client.ALL,
    "sasl.username": Client.ALL,
    "sasl.password": Client.ALL,
    "ssl.ca.location": Client.ALL,
    "ssl.certificate.location": Client.ALL,
    "ssl.key.location": Client.ALL,
    "ssl.key.password": Client.ALL,
    "ssl.endpoint.identification.algorithm": Client.ALL,
    "enable.ssl.certificate.verification": Client.ALL,
    "session.timeout.ms": Client.GROUP,
    "heartbeat.interval.ms": Client.GROUP,
    "group.instance.id": Client.GROUP,
    "fetch.wait.max.ms": Client.READER | Client.FAUST,
    "max.partition.fetch.bytes": Client.READER | Client.FAUST,
    "broker.address.family": Client.LIBRDKAFKA,
    "client.dns.lookup": Client.LIBRDKAFKA,
    "debug": Client.LIBRDKAFKA,
    "log_level": Client.LIBRDKAFKA,
    "metadata.max.age.ms": Client.LIBRDKAFKA,
    "reconnect.backoff.ms": Client.LIBRDKAFKA,
    "reconnect.backoff.max.ms": Client.LIBRDKAFKA,
    "socket.keepalive.enable": Client.LIBRDKAFKA,
    "socket.timeout.ms": Client.LIBRDKAFKA,
    "topic.metadata.refresh.interval.ms": Client.LIBRDKAFKA,
    "batch.num.messages": Client.PRODUCER,
    "batch.size": Client.PRODUCER,
    "compression.level": Client.PRODUCER,
    "compression.type": Client.PRODUCER,
    "delivery.timeout.ms": Client.PRODUCER,
    "linger.ms": Client.PRODUCER,
    "max.in.flight.requests.per.connection": Client.PRODUCER,
    "message.max.bytes": Client.PRODUCER,
    "queue.buffering.max.kbytes": Client.PRODUCER,
    "queue.buffering.max.messages": Client.PRODUCER,
    "request.timeout.ms": Client.PRODUCER,
    "retry.backoff.ms": Client.PRODUCER,
})  # fmt: skip
"""Every setting a user may give, and the clients that get it."""

OWNED = frozenset({
    "acks", "auto.offset.reset", "delivery.report.only.error", "enable.auto.commit", "enable.auto.offset.store",
    "enable.idempotence", "enable.partition.eof", "group.id", "isolation.level", "partition.assignment.strategy",
    "partitioner", "request.required.acks", "transactional.id",
})  # fmt: skip
"""Settings that the promises of coalmine rest on; nobody else sets them."""

QUIET: Mapping[str, str] = MappingProxyType({"log_level": "2"})
"""librdkafka writes past the log, and of a broker that is away 20 lines a second and client. What it means comes as an
error of the call that needed the broker, and aiokafka complains too; a user who wants to hear it sets `log_level`."""

ALIASES: Mapping[str, str] = MappingProxyType({
    "compression.codec": "compression.type",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.timeout.ms": "delivery.timeout.ms",
    "metadata.broker.list": "bootstrap.servers",
    "queue.buffering.max.ms": "linger.ms",
})  # fmt: skip
"""Other names that librdkafka has for settings a user may give, and uses in what it says of them."""

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Mechanisms that need a name and a password only; both clients speak them."""

SECRETS = frozenset({"sasl.password", "ssl.key.password"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaustClient:
    """The settings as Faust's consumer understands them; times in ms, None: the default of `make_app`.

    `brokers` are `host:port`. `mechanism` is None without SASL. Paths are files in PEM format; `verify` tells whether
    the broker's certificate is checked at all, `check_hostname` whether it must name the broker's host.
    """

    brokers: tuple[str, ...]
    client_id: str | None
    protocol: str
    mechanism: str | None
    username: str | None
    password: str | None = field(repr=False)
    ca: str | None
    certificate: str | None
    key: str | None
    key_password: str | None = field(repr=False)
    verify: bool
    check_hostname: bool
    session_timeout_ms: int | None
    heartbeat_interval_ms: int | None
    group_instance_id: str | None
    fetch_wait_ms: int | None
    max_partition_fetch_bytes: int | None


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """What a user wrote under `[kafka]`: librdkafka's names to values, checked when made.

    Values may be text, numbers or booleans. Raises ConfigError for a name that is unknown or not the user's to set,
    and for values that the two clients would understand differently.
    """

    properties: Mapping[str, str | int | float | bool] = field(repr=False)

    def __post_init__(self) -> None:
        for name in self.properties:
            check_name(name)
        if not self.text("bootstrap.servers"):
            raise ConfigError('kafka: `"bootstrap.servers"` is missing; write host:port, several with commas')
        self.check_security()

    def check_security(self) -> None:
        """Raise ConfigError for a protocol or mechanism that one of the clients does not speak."""
        protocol = self.protocol
        if protocol not in PROTOCOLS:
            raise ConfigError(f"kafka: security.protocol is one of {', '.join(PROTOCOLS)}, not {protocol}")
        if not protocol.startswith("SASL"):
            return
        if self.mechanism not in MECHANISMS:
            raise ConfigError(f"kafka: sasl.mechanism is one of {', '.join(MECHANISMS)}, not {self.mechanism}")
        if not self.text("sasl.username") or not self.text("sasl.password"):
            raise ConfigError(f"kafka: {self.mechanism} needs sasl.username and sasl.password")

    @property
    def bootstrap(self) -> str:
        """The brokers as written: `host:port`, several with commas."""
        return self.text("bootstrap.servers") or ""

    @property
    def protocol(self) -> str:
        """The security protocol in capitals."""
        return (self.text("security.protocol") or "PLAINTEXT").upper()

    @property
    def mechanism(self) -> str:
        """The SASL mechanism; librdkafka knows it under two names."""
        return self.text("sasl.mechanism") or self.text("sasl.mechanisms") or "missing"

    def producer(self) -> dict[str, Any]:
        """Return the properties for a librdkafka producer."""
        return self.of(Client.PRODUCER)

    def reader(self) -> dict[str, Any]:
        """Return the properties for a librdkafka consumer without a group."""
        return self.of(Client.READER)

    def admin(self) -> dict[str, Any]:
        """Return the properties for a librdkafka administration client: what producers and readers share."""
        return self.of(Client.LIBRDKAFKA)

    def faust(self) -> FaustClient:
        """Return the settings for Faust's consumer."""
        sasl = self.protocol.startswith("SASL")
        return FaustClient(
            brokers=tuple(part.strip() for part in self.bootstrap.split(",") if part.strip()),
            client_id=self.text("client.id"),
            protocol=self.protocol,
            mechanism=self.mechanism if sasl else None,
            username=self.text("sasl.username") if sasl else None,
            password=self.text("sasl.password") if sasl else None,
            ca=self.text("ssl.ca.location"),
            certificate=self.text("ssl.certificate.location"),
            key=self.text("ssl.key.location"),
            key_password=self.text("ssl.key.password"),
            verify=self.text("enable.ssl.certificate.verification") != "false",
            check_hostname=self.text("ssl.endpoint.identification.algorithm") != "none",
            session_timeout_ms=self.whole("session.timeout.ms"),
            heartbeat_interval_ms=self.whole("heartbeat.interval.ms"),
            group_instance_id=self.text("group.instance.id"),
            fetch_wait_ms=self.whole("fetch.wait.max.ms"),
            max_partition_fetch_bytes=self.whole("max.partition.fetch.bytes"),
        )

    def masked(self) -> dict[str, str]:
        """Return all settings for people to read, secrets replaced."""
        return {name: "***" if name in SECRETS else self.text(name) or "" for name in self.properties}

    def of(self, client: Client) -> dict[str, Any]:
        """Return the properties that one of librdkafka's clients understands, as text."""
        given = {name: self.text(name) for name in self.properties if client in PROPERTIES[name]}
        return {**QUIET, **{name: value for name, value in given.items() if value is not None}}

    def text(self, name: str) -> str | None:
        """Return a value as librdkafka reads it, None if it was not given."""
        value = self.properties.get(name)
        if value is None:
            return None
        return str(value).lower() if isinstance(value, bool) else str(value)

    def whole(self, name: str) -> int | None:
        """Return a value as a whole number, None if it was not given; raise ConfigError for anything else."""
        value = self.text(name)
        if value is not None and not value.isdigit():
            raise ConfigError(f"kafka: {name} must be a whole number, not {value!r}")
        return None if value is None else int(value)


def check_name(name: str) -> None:
    """Raise ConfigError unless a user may set the property `name`."""
    if name in PROPERTIES:
        return
    if name in OWNED:
        raise ConfigError(f"kafka: {name} is set by coalmine itself, its promises rest on it; remove it")
    if name in ALIASES:
        raise ConfigError(f"kafka: {name} is called {ALIASES[name]} here; librdkafka takes both names for one setting")
    near = get_close_matches(name, PROPERTIES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"kafka: {name} is not a setting that coalmine can give to both of its Kafka clients{hint}")
