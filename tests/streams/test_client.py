import pytest
from confluent_kafka import Consumer, KafkaException

from coalmine.errors import ConfigError
from coalmine.streams.kafka.client import PROPERTIES, QUIET, Client, KafkaSettings

SECURE = {
    "bootstrap.servers": "a:9093, b:9093",
    "security.protocol": "sasl_ssl",
    "sasl.mechanisms": "SCRAM-SHA-512",
    "sasl.username": "coalmine",
    "sasl.password": "hidden-word",
    "ssl.ca.location": "/etc/ca.pem",
    "ssl.endpoint.identification.algorithm": "none",
}


def complaint(name: str) -> str:
    """Return what librdkafka says to a bad value of a setting, nothing if it takes it."""
    try:
        Consumer({"group.id": "g", "log_level": 0, name: "-"}).close()
    except KafkaException as error:
        return str(error)
    return ""


def test_one_block_of_security_settings_reaches_all_clients() -> None:
    settings = KafkaSettings(SECURE)

    faust = settings.faust()
    given = (faust.brokers, faust.protocol, faust.mechanism, faust.username, faust.password, faust.ca)
    assert given == (("a:9093", "b:9093"), "SASL_SSL", "SCRAM-SHA-512", "coalmine", "hidden-word", "/etc/ca.pem")
    assert settings.producer() == settings.reader() == settings.admin() == {**SECURE, **QUIET}


def test_certificates_and_hosts_are_verified_unless_switched_off() -> None:
    plain = KafkaSettings({"bootstrap.servers": "a:1"}).faust()
    lax = KafkaSettings({**SECURE, "enable.ssl.certificate.verification": False}).faust()

    assert (plain.verify, plain.check_hostname) == (True, True)
    assert (lax.verify, lax.check_hostname) == (False, False)


def test_each_client_gets_only_what_it_understands() -> None:
    settings = KafkaSettings(
        {"bootstrap.servers": "a:1", "linger.ms": 5, "fetch.wait.max.ms": 10, "session.timeout.ms": 3000}
    )

    assert settings.producer() == {"bootstrap.servers": "a:1", "linger.ms": "5", **QUIET}
    assert settings.reader() == {"bootstrap.servers": "a:1", "fetch.wait.max.ms": "10", **QUIET}
    assert settings.admin() == {"bootstrap.servers": "a:1", **QUIET}
    assert (settings.faust().fetch_wait_ms, settings.faust().session_timeout_ms) == (10, 3000)


def test_librdkafka_writes_past_the_log_only_for_who_asks_for_it() -> None:
    loud = KafkaSettings({"bootstrap.servers": "a:1", "log_level": 6})

    assert [loud.producer()["log_level"], loud.reader()["log_level"], loud.admin()["log_level"]] == ["6", "6", "6"]


@pytest.mark.parametrize("name", [name for name, clients in PROPERTIES.items() if Client.READER in clients])
def test_librdkafka_knows_every_setting_it_is_given(name: str) -> None:
    assert "No such configuration property" not in complaint(name)


def test_a_setting_that_librdkafka_does_not_know_would_be_noticed() -> None:
    assert "No such configuration property" in complaint("no.such.setting")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"sasl.kerberos.keytab": "k"}, "not a setting that coalmine can give to both"),
        ({"sesion.timeout.ms": 1}, "did you mean session.timeout.ms"),
        ({"max.in.flight": 1}, "is called max.in.flight.requests.per.connection here"),
        ({"enable.idempotence": False}, "set by coalmine itself"),
        ({"group.id": "g"}, "set by coalmine itself"),
        ({"security.protocol": "TLS"}, "security.protocol is one of"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism is one of"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "not GSSAPI"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "needs sasl.username"),
        ({"bootstrap.servers": ""}, "is missing"),
    ],
)
def test_what_cannot_hold_for_both_clients_is_refused(setting: dict[str, str | int | bool], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        KafkaSettings({"bootstrap.servers": "a:1", **setting})


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole number"):
        KafkaSettings({"bootstrap.servers": "a:1", "session.timeout.ms": "6s"}).faust()


def test_secrets_show_in_no_representation() -> None:
    settings = KafkaSettings(SECURE)

    shown = repr(settings) + repr(settings.faust()) + str(settings.masked())
    assert "hidden-word" not in shown
    assert settings.masked()["sasl.password"] == "***"
