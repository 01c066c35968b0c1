"""How apps are set up; what they do is tested on a real Kafka."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from coalmine.errors import ConfigError
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.transport.apps import credentials, fetching, make_app

PLAIN = KafkaSettings({"bootstrap.servers": "a:9092,b:9093", "fetch.wait.max.ms": 20, "session.timeout.ms": 2000})
SASL = {
    "bootstrap.servers": "a:1", "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "me", "sasl.password": "word",
}  # fmt: skip


def made(kafka: KafkaSettings = PLAIN, **options: Any) -> Any:
    async def make() -> Any:
        return make_app("coalmine.flights.score", kafka, "flights.requests", **options)

    return asyncio.run(make())


def test_the_environment_changes_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_COMMIT_INTERVAL", "STREAM_RECOVERY_DELAY", "BROKER_CHECK_CRCS", "WEB_ENABLED", "APP_DATADIR"):
        monkeypatch.setenv(name, "1")

    conf = made().conf

    assert (conf.broker_commit_interval, conf.stream_recovery_delay, conf.web_enabled) == (0.5, 0.0, False)


def test_nothing_is_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    app = made()
    app.finalize()
    app._create_directories()

    assert list(tmp_path.iterdir()) == []


def test_settings_reach_the_consumer() -> None:
    app = made()

    assert [str(url) for url in app.transport.url] == ["kafka://a:9092", "kafka://b:9093"]
    assert app.transport.options.fetch_wait_ms == 20
    assert (app.conf.broker_session_timeout, app.conf.broker_heartbeat_interval) == (2.0, 0.5)


def test_fetches_end_at_the_first_byte_unless_they_shall_gather_and_the_user_does_not_object() -> None:
    silent = KafkaSettings({"bootstrap.servers": "a:1", "max.partition.fetch.bytes": 1000}).faust()

    assert fetching(silent, 0)["fetch.min.bytes"] == 1
    assert (fetching(silent, 200)["fetch.wait.max.ms"], fetching(silent, 200)["fetch.min.bytes"]) == (200, 500)
    assert fetching(PLAIN.faust(), 200)["fetch.min.bytes"] == 1


def test_what_the_user_says_of_fetches_reaches_the_intake() -> None:
    assert made(gather_ms=200).transport.intake["fetch.wait.max.ms"] == "20"


@pytest.mark.parametrize(("protocol", "tls"), [("SASL_PLAINTEXT", False), ("SASL_SSL", True)])
def test_credentials_are_those_of_the_settings(protocol: str, tls: bool) -> None:
    found = credentials(KafkaSettings({**SASL, "security.protocol": protocol}).faust())

    assert (found.username, found.password, found.mechanism.value) == ("me", "word", "SCRAM-SHA-256")
    assert found.protocol.value == protocol
    assert (found.ssl_context is not None) == tls


def test_tls_verifies_the_broker_unless_switched_off() -> None:
    secure = credentials(KafkaSettings({"bootstrap.servers": "a:1", "security.protocol": "SSL"}).faust())
    lax: dict[str, str | bool] = {"bootstrap.servers": "a:1", "security.protocol": "SSL"}
    lax["enable.ssl.certificate.verification"] = False

    assert (secure.context.verify_mode, secure.context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert credentials(KafkaSettings(lax).faust()).context.verify_mode == ssl.CERT_NONE


def test_a_file_of_certificates_that_is_missing_is_an_error_of_the_settings() -> None:
    given = {"bootstrap.servers": "a:1", "security.protocol": "SSL", "ssl.ca.location": "/nowhere/ca.pem"}

    with pytest.raises(ConfigError, match=r"ssl\.\*\.location"):
        credentials(KafkaSettings(given).faust())


def test_a_plain_connection_needs_no_credentials() -> None:
    assert credentials(PLAIN.faust()) is None
