"""Faust apps as coalmine runs them: settings in one place, batches instead of events, nothing from the environment.

Faust's own command, web server, leader topic and files on disk are not used. An app is made inside the process and the
event loop that run it, by `make_app`; `batch_agent` gives it work; `worker.run` runs it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import faust
import mode
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP

from coalmine.errors import ConfigError

from ..kafka.client import FaustClient, KafkaSettings
from ..kafka.producer import Producer
from .batches import Poll, polls
from .driver import BatchTransport, TransportOptions

__all__ = ["Body", "assigned", "batch_agent", "end_offset", "lag", "make_app"]

Body = Callable[[AsyncIterator[Poll]], Awaitable[None]]
"""What an agent does: takes polls until it is cancelled, acks their batches."""

SESSION_MS = 6_000
"""How long the group waits for a member that fell silent; a take-over after a kill takes that long (measured 6.3 s)."""

HEARTBEAT_MS = 1_000

FETCH_WAIT_MS = 100
"""How long the broker may hold a fetch with nothing to return; Kafka answers at the first byte."""

MAX_FETCH_BYTES = 4 * 1024 * 1024
"""Bytes of one partition in one fetch of a changelog."""

MAX_INTAKE_BYTES = 1024 * 1024
"""Bytes of one partition in one fetch of a hot topic: the next one is under way while the last is worked."""

GATHER_BYTES = 512 * 1024
"""Bytes that end the gathering of a fetch: less than one partition may return, or a backlog would wait for nothing."""

SETTINGS: Mapping[str, Any] = {
    "autodiscover": False,
    "web_enabled": False,
    "worker_redirect_stdouts": False,
    "topic_disable_leader": True,
    "store": "memory://",
    # Of changelogs; how many records of the hot topic make a poll is the intake's to say.
    "broker_max_poll_records": 2_000,
    "broker_rebalance_timeout": 10.0,
    # A kill repeats at most rate x this.
    "broker_commit_interval": 0.5,
    # Our own waiting for open batches has a limit; Faust's has none.
    "stream_wait_empty": False,
    # The default restarts the agent and loses the batch; here a fault ends the process.
    "agent_supervisor": mode.CrashingSupervisor,
    "table_standby_replicas": 0,
    "consumer_auto_offset_reset": "earliest",
    "producer_acks": -1,
    "producer_linger": 0.0,
    "producer_compression_type": "zstd",
}
"""What is the same in every app; measured or explained where it is not Faust's default."""


class App(faust.App):  # type: ignore[misc] # Faust is untyped here
    """A Faust app that keeps nothing on disk."""

    def _create_directories(self) -> None:
        """Create none: tables live in memory and in their changelogs."""


def make_app(
    app_id: str,
    kafka: KafkaSettings,
    hot_topic: str,
    producers: Sequence[Producer] = (),
    *,
    create_topics: bool = False,
    leader_wait_seconds: float = 0.0,
    gather_ms: int = 0,
    **overrides: Any,
) -> Any:
    """Return a Faust app whose `hot_topic` comes as batches; its consumer group is `app_id`.

    `producers` are flushed before every commit; none for an app that produces only through Faust. `create_topics` lets
    Faust create the changelogs of tables that are missing. `leader_wait_seconds` is for the embedded broker with
    several members in a group (0.2). `gather_ms` lets the broker collect records that long for a larger batch, for
    work that nobody waits for; `fetch.wait.max.ms` of the settings overrules it. `overrides` are settings of Faust,
    for tests and measurements. Call it inside the running event loop. Raises ConfigError for security settings that
    cannot be used.
    """
    client = kafka.faust()
    brokers = [f"kafka://{broker}" for broker in client.brokers]
    settings = {
        **SETTINGS,
        **group_settings(client),
        "broker": brokers,
        "broker_credentials": credentials(client),
        "topic_allow_declare": create_topics,
        **overrides,
    }
    app: Any = App(app_id, env={}, **settings)
    app.transport = BatchTransport(
        client.brokers, app, hot_topic=hot_topic, producers=producers,
        options=TransportOptions(client.fetch_wait_ms or FETCH_WAIT_MS, leader_wait_seconds),
        intake={**fetching(client, gather_ms), **kafka.reader()},
    )  # fmt: skip
    app.on_rebalance_complete.connect(hold_until_the_seek, weak=False)
    return app


def fetching(client: FaustClient, gather_ms: int) -> dict[str, int]:
    """Return how a hot topic is fetched where the user says nothing; without gathering at the first byte."""
    most = client.max_partition_fetch_bytes or MAX_INTAKE_BYTES
    gathers = gather_ms and client.fetch_wait_ms is None
    return {
        "fetch.wait.max.ms": gather_ms if gathers else FETCH_WAIT_MS,
        "fetch.min.bytes": min(GATHER_BYTES, most // 2) if gathers else 1,
        "max.partition.fetch.bytes": most,
    }


async def hold_until_the_seek(app: Any, **_: Any) -> None:
    """Stop the flow at the end of a recovery; Faust resumes it after its seek.

    Left open, records reach an agent before the seek and again after it; those between are then skipped.
    """
    app.consumer.stop_flow()


def group_settings(client: FaustClient) -> dict[str, Any]:
    """Return the settings of Faust for the membership in the consumer group."""
    session = (client.session_timeout_ms or SESSION_MS) / 1000
    return {
        "broker_client_id": client.client_id or "coalmine",
        "broker_session_timeout": session,
        "broker_heartbeat_interval": (client.heartbeat_interval_ms or min(HEARTBEAT_MS, session * 250)) / 1000,
        "broker_request_timeout": max(30.0, session + 1),
        "consumer_group_instance_id": client.group_instance_id,
        "consumer_max_fetch_size": client.max_partition_fetch_bytes or MAX_FETCH_BYTES,
    }


def credentials(client: FaustClient) -> Any:
    """Return what Faust needs to prove who it is and to trust the broker, None for a plain connection."""
    if client.protocol == "PLAINTEXT":
        return None
    context = tls(client) if client.protocol.endswith("SSL") else None
    if client.mechanism is None:
        return SSLCredentials(context)
    return SASLCredentials(
        username=client.username, password=client.password, ssl_context=context, mechanism=client.mechanism
    )


def tls(client: FaustClient) -> ssl.SSLContext:
    """Return the TLS context for the broker's connections; raise ConfigError for files that cannot be used."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=client.ca)
        if client.certificate:
            context.load_cert_chain(client.certificate, client.key, client.key_password)
    except OSError as error:
        raise ConfigError(f"kafka: the TLS files of ssl.*.location cannot be used: {error}") from error
    context.check_hostname = client.verify and client.check_hostname
    if not client.verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def batch_agent(app: Any, body: Body) -> None:
    """Let `body` work the polls of the app's hot topic; see `batches` for what it may rely on.

    One body an app: partitions are worked in order because only one body takes them.
    """
    topic = app.transport.hot_topic

    async def agent(stream: Any) -> None:
        await asyncio.gather(subscribe(stream), app.consumer.membership(), body(polls(app)))

    app.agent(app.topic(topic), name=f"{app.conf.id}.{topic}", concurrency=1)(agent)


async def subscribe(stream: Any) -> None:
    """Let Faust join the group for the topic of `stream`, which begins with asking for its events; none ever comes."""
    async for _ in stream.noack().events():
        raise AssertionError("Faust delivered a record of a topic that the intake reads")


def assigned(app: Any, topic: str) -> frozenset[int]:
    """Return the partitions of `topic` that this process holds right now."""
    consumer = app._consumer
    if consumer is None or consumer._thread._consumer is None:
        return frozenset()
    return frozenset(tp.partition for tp in consumer.assignment() if tp.topic == topic)


def lag(app: Any, topic: str) -> dict[int, int]:
    """Return for each partition held how many records are not committed yet; absent before its first fetch.

    The end offset may be that of an earlier time when the partition was held, below what another worker committed.
    """
    ends = {partition: end_offset(app, TP(topic, partition)) for partition in assigned(app, topic)}
    done = app.consumer._committed_offset if ends else {}
    return {
        partition: max(0, end - (done[TP(topic, partition)] or 0)) for partition, end in ends.items() if end is not None
    }


def end_offset(app: Any, tp: TP) -> int | None:
    """Return the end offset of a partition as of the last fetch; None before it and for a partition not held."""
    try:
        end: int | None = app.consumer.highwater(tp)
    except AssertionError:  # aiokafka's word for a partition that another thread has just given away
        return None
    return end
