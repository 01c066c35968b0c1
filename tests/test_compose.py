"""docker-compose.yml without Docker: against the schema, against the command line, and by running what it runs."""

import base64
import copy
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from confluent_kafka import Consumer
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from coalmine.cli.app import app
from coalmine.demo.flights.train import SHIPPED, provide
from coalmine.rollout_file import load
from coalmine.settings import load_settings
from tests.conftest import no_broker
from tests.kafka.broker import Broker, free_port, missing

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
COMMANDS = {name: service for name, service in OURS.items() if "entrypoint" not in service}

SCHEMA_FILE = Path(__file__).parent / "compose" / "compose-spec.json"
SCHEMA_SHA256 = "d549057ebc2925f39f62799eab0db7b9e2c18b35b6c00595199116da3ed10e64"


def errors_of(compose: dict[str, Any]) -> list[str]:
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(compose)]


def test_the_schema_is_the_published_one() -> None:
    assert hashlib.sha256(SCHEMA_FILE.read_bytes()).hexdigest() == SCHEMA_SHA256


def test_the_file_is_valid_by_the_compose_specification() -> None:
    assert errors_of(COMPOSE) == []


def test_the_schema_finds_a_mistake() -> None:
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["worker"]["comand"] = ["run"]

    assert errors_of(wrong)


def parse(arguments: list[str]) -> None:
    """Parse a command line down to its last command; raises what the command line raises."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("coalmine", list(arguments))
    while hasattr(context.command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    parse(SERVICES[name]["command"])


def test_the_parser_refuses_a_command_that_does_not_exist() -> None:
    with pytest.raises(Exception, match="No such"):
        parse(["run", "x.yaml", "--roles", "score"])


def advice() -> list[str]:
    """Return the arguments of every `coalmine` command that the comments of the file recommend."""
    return re.findall(r"^#.* exec \S+ coalmine (.+)$", FILE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", advice())
def test_the_comments_recommend_commands_that_exist(line: str) -> None:
    parse(shlex.split(line))


def test_there_is_advice_to_check() -> None:
    assert len(advice()) == 2


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_a_service_is_made_of_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, str(value))

    settings = load_settings()

    assert settings.kafka["bootstrap.servers"] == "kafka:19092"
    assert settings.models.root == Path("/srv/coalmine/models")


def test_the_image_has_the_models_that_the_settings_point_at() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    trained = re.findall(r"^RUN python -m coalmine.demo.flights.train models (.+)$", dockerfile, re.MULTILINE)
    plan, _ = load(ROOT / "deploy" / "flights.yaml")

    assert "WORKDIR /srv/coalmine\n" in dockerfile
    assert {plan.stable.uri, "hinges"} <= set(trained[0].split())


def waits() -> list[tuple[str, str, str]]:
    return [(name, on, how["condition"]) for name, service in SERVICES.items()
            for on, how in service.get("depends_on", {}).items()]  # fmt: skip


@pytest.mark.parametrize(("name", "on", "condition"), waits())
def test_a_service_waits_for_something_that_can_happen(name: str, on: str, condition: str) -> None:
    met = {
        "service_healthy": "healthcheck" in SERVICES[on],
        "service_completed_successfully": SERVICES[on].get("restart") == "no",
    }

    assert met[condition], f"{name} waits for {on} to be {condition}"


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Return container path to path in the checkout of every file a service mounts."""
    parts = [volume.split(":") for volume in service.get("volumes", []) if volume.startswith("./")]
    return {inside: ROOT / outside for outside, inside, _ in parts}


@pytest.mark.parametrize("name", OURS)
def test_mounted_files_exist(name: str) -> None:
    assert all(path.is_file() for path in mounts(SERVICES[name]).values())


def test_the_broker_is_asked_for_its_health_at_the_address_its_clients_use() -> None:
    kafka = SERVICES["kafka"]
    asked = kafka["healthcheck"]["test"]

    assert asked[:2] == ["CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh"]
    assert asked[-1] == OURS["worker"]["environment"]["COALMINE_KAFKA__BOOTSTRAP_SERVERS"]
    assert f"INSIDE://{asked[-1]}" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_cluster_id_is_one() -> None:
    assert len(base64.urlsafe_b64decode(SERVICES["kafka"]["environment"]["CLUSTER_ID"] + "==")) == 16


def properties(broker: Broker) -> dict[str, str]:
    """Return the settings that the image makes of the environment, on free loopback ports and in a folder of ours."""
    ports = {"19092": broker.bootstrap.partition(":")[2], "9092": str(free_port()), "9093": str(free_port())}
    environment = {name: str(value) for name, value in SERVICES["kafka"]["environment"].items()}
    made = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): re.sub(
            r"(//|@)[\w.]*:(\d+)", lambda found: f"{found[1]}127.0.0.1:{ports[found[2]]}", value
        )
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }
    return {**made, "log.dirs": str(broker.folder / "data")}


@pytest.fixture(scope="module")
def compose_kafka() -> Iterator[str]:
    """The address of a Kafka with the settings of the compose file."""
    if reason := missing():
        no_broker(reason)
    broker = Broker()
    text = "".join(f"{name}={value}\n" for name, value in properties(broker).items())
    (broker.folder / "server.properties").write_text(text)
    try:
        yield broker.start().bootstrap
    finally:
        broker.close()


def start(name: str, bootstrap: str, models: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start what a service runs as a plain process: its command, its environment, its mounted files."""
    service = SERVICES[name]
    command = [*service.get("entrypoint", ["coalmine"]), *service["command"]]
    programs = {"coalmine": [sys.executable, "-c", "from coalmine.cli import main; main()"], "python": [sys.executable]}
    files = {inside: str(outside) for inside, outside in mounts(service).items()}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")},
        **{name: str(value) for name, value in service["environment"].items()},
        "COALMINE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "COALMINE_MODELS__ROOT": str(models),
    }
    line = [*programs[command[0]], *(files.get(argument, argument) for argument in command[1:])]
    with log.open("wb") as output:
        return subprocess.Popen(line, env=environment, stdout=output, stderr=output)


def answers(bootstrap: str, count: int, seconds: float) -> int:
    """Wait for `count` predictions; return how many there were in time."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test-compose", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe(["flights.predictions"])
    seen, deadline = 0, time.monotonic() + seconds
    while seen < count and time.monotonic() < deadline:
        seen += sum(record.error() is None for record in consumer.consume(500, 0.2))
    consumer.close()
    return seen


@pytest.mark.kafka
def test_the_services_answer_the_traffic_and_stop_in_order(compose_kafka: str, tmp_path: Path) -> None:
    provide(tmp_path / "models", SHIPPED)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        topics = start("topics", compose_kafka, tmp_path / "models", tmp_path / "topics.log")
        assert topics.wait(60) == 0, (tmp_path / "topics.log").read_text()
        for name in ("worker", "analyzer", "traffic"):
            running[name] = start(name, compose_kafka, tmp_path / "models", tmp_path / f"{name}.log")

        seen = answers(compose_kafka, 100, 60)
        ended = {name: process.poll() for name, process in running.items()}
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(20) for name, process in running.items()}
    finally:
        for process in running.values():
            process.kill()

    assert seen >= 100, {name: (tmp_path / f"{name}.log").read_text()[-2000:] for name in running}
    assert set(ended.values()) == {None}
    assert codes == {"worker": 0, "analyzer": 0, "traffic": 0}
