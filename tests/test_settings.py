"""Settings: which source wins, and that nothing misspelt is ignored."""

import os
from pathlib import Path

import pytest

from coalmine.errors import ConfigError
from coalmine.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COALMINE_")]:
        monkeypatch.delenv(name)


def write(text: str, name: str = "coalmine.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold() -> None:
    assert load_settings() == Settings()
    assert Settings().kafka == {"bootstrap.servers": "localhost:9092"}


def test_a_flag_beats_the_environment_and_the_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('namespace = "file"\n[models]\nroot = "file"\n[routing]\nsecret = "file"\n')
    monkeypatch.setenv("COALMINE_NAMESPACE", "environment")
    monkeypatch.setenv("COALMINE_MODELS__ROOT", "environment")

    settings = load_settings(namespace="flag")

    assert settings.namespace == "flag"
    assert settings.models.root == Path("environment")
    assert settings.routing.secret == "file"
    assert load_settings().namespace == "environment"


def test_kafka_settings_keep_their_names_in_every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    write('[kafka]\nbootstrap.servers = "file:1"\n"security.protocol" = "SSL"\nsocket.keepalive.enable = true\n')
    monkeypatch.setenv("COALMINE_KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    monkeypatch.setenv("COALMINE_KAFKA__LOG_LEVEL", "3")

    assert load_settings().kafka == {
        "bootstrap.servers": "environment:1",
        "log_level": "3",
        "security.protocol": "SSL",
        "socket.keepalive.enable": "true",
    }
    assert load_settings(kafka={"bootstrap.servers": "flag:1"}).kafka["bootstrap.servers"] == "flag:1"


def test_a_file_without_a_broker_keeps_the_default_broker() -> None:
    write('[kafka]\nsecurity.protocol = "SSL"\n')

    assert load_settings().kafka["bootstrap.servers"] == "localhost:9092"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "COALMINE_NAMESPCE",
            "COALMINE_NAMESPCE in the environment is no setting; did you mean COALMINE_NAMESPACE?; correct or unset it",
        ),
        (
            "COALMINE_MODEL_ROOT",
            "COALMINE_MODEL_ROOT in the environment is no setting; did you mean COALMINE_MODELS__ROOT?; "
            "correct or unset it",
        ),
        ("COALMINE_XYZ", "COALMINE_XYZ in the environment is no setting; correct or unset it"),
    ],
)
def test_a_misspelt_variable_stops_the_start(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert str(caught.value) == message


def test_variables_that_steer_our_own_tests_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALMINE_TEST_BOOTSTRAP", "x")
    monkeypatch.setenv("COALMINE_REQUIRE_KAFKA", "1")

    assert load_settings() == Settings()


def test_all_wrong_values_and_keys_of_a_file_come_at_once() -> None:
    write('namespace = "no dots."\n[models]\nrot = "x"\nroot = 5\n')

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert str(caught.value).splitlines() == [
        "setting namespace: string should match pattern '^[a-zA-Z0-9-]{1,40}$'; "
        "correct it in coalmine.toml or COALMINE_NAMESPACE",
        "setting models.root: input is not a valid path for <class 'pathlib.Path'>; "
        "correct it in coalmine.toml or COALMINE_MODELS__ROOT",
        "coalmine.toml: models.rot is no setting; did you mean models.root?; correct or remove it",
    ]


def test_a_file_that_is_named_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist"):
        load_settings(Path("absent.toml"))
    monkeypatch.setenv("COALMINE_CONFIG", "other.toml")
    with pytest.raises(ConfigError, match=r"other\.toml does not exist"):
        load_settings()


def test_a_file_that_is_no_toml_says_where() -> None:
    write("namespace = \n")

    with pytest.raises(ConfigError, match=r"coalmine\.toml: not valid TOML: .*line 1"):
        load_settings()


def test_a_misspelt_kafka_setting_stops_the_start() -> None:
    write('[kafka]\nbootstrap.server = "x:1"\n')

    with pytest.raises(ConfigError, match=r"did you mean bootstrap\.servers\?"):
        load_settings()


def test_secrets_do_not_show_in_the_text_of_the_settings() -> None:
    settings = Settings.model_validate({"kafka": {"sasl.password": "hush"}, "routing": {"secret": "hush"}})

    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
