"""Where the settings of a process come from: variables, those of others, the file, paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidelog.api.address import Address
from tidelog.api.config import (
    OPTIONS,
    Config,
    ConfigError,
    environment_name,
    load_config,
    shown_settings,
)
from tidelog.api.service_variables import is_service_variable
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS

HERE = Path("/nowhere")


def from_file(directory: Path, content: bytes) -> Config:
    (directory / "tidelog.toml").write_bytes(content)
    return load_config({}, {}, directory)


def service(name: str, host: str, ports: dict[str, int], protocol: str = "tcp") -> dict[str, str]:
    """The variables that Kubernetes sets for a service."""
    prefix = name.replace("-", "_").upper()
    inside = f"[{host}]" if ":" in host else host
    first = next(iter(ports.values()))
    found = {
        f"{prefix}_SERVICE_HOST": host,
        f"{prefix}_SERVICE_PORT": str(first),
        f"{prefix}_PORT": f"{protocol}://{inside}:{first}",
    }
    for label, port in ports.items():
        if label:
            found[f"{prefix}_SERVICE_PORT_{label.replace('-', '_').upper()}"] = str(port)
        of_port = f"{prefix}_PORT_{port}_{protocol.upper()}"
        found[of_port] = f"{protocol}://{inside}:{port}"
        found[f"{of_port}_PROTO"] = protocol
        found[f"{of_port}_PORT"] = str(port)
        found[f"{of_port}_ADDR"] = host
    return found


@pytest.mark.parametrize(
    "variables",
    [
        service("tidelog", "10.0.0.7", {"": 8082}),
        service("tidelog", "10.0.0.7", {"http": 8082, "kafka": 9092}),
        service("tidelog-kafka", "10.0.0.7", {"kafka": 9092}),
        service("tidelog-http", "fd00::7", {"http-api": 80}),
        service("tidelog-0", "10.0.0.7", {"dns": 53}, "udp"),
    ],
)
def test_variables_of_services_are_not_settings(variables: dict[str, str]) -> None:
    config = load_config({}, {**variables, "TIDELOG_NUM_PARTITIONS": "4"}, HERE)
    assert config.service_variables == tuple(sorted(variables))
    assert config.sources == {"num.partitions": "environment"}
    assert config.http == (Address("127.0.0.1", 8082),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDELOG_PORT", "8082"),
        ("TIDELOG_PORT", "tcp://10.0.0.7"),
        ("TIDELOG_PORT", "http://10.0.0.7:8082"),
        ("TIDELOG_HTTP_PORT", "8082"),
        ("TIDELOG_SERVICE_HOST", "tidelog.example"),
        ("TIDELOG_SERVICE_PORT", "http"),
        ("TIDELOG_SERVICE", "10.0.0.7"),
        ("TIDELOG_PORT_8082_TCP_ADDRESS", "10.0.0.7"),
        ("TIDELOG_PORT_TCP", "tcp://10.0.0.7:8082"),
        ("TIDELOG_KAFKA_", "10.0.0.7:9092"),
        ("TIDELOG_", ""),
    ],
)
def test_a_mistyped_variable_is_refused(name: str, value: str) -> None:
    assert not is_service_variable(name, value)
    with pytest.raises(ConfigError, match=f"{name} is not the name of a setting"):
        load_config({}, {name: value}, HERE)


def test_no_setting_is_taken_for_a_service() -> None:
    values = ("10.0.0.7", "8082", "tcp://10.0.0.7:8082", "tcp")
    for name in (*OPTIONS, *BROKER_SETTINGS):
        assert not any(is_service_variable(environment_name(name), value) for value in values)


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_an_empty_variable_is_not_set(tmp_path: Path, empty: str) -> None:
    (tmp_path / "tidelog.toml").write_text('"num.partitions" = 3\nhttp = "127.0.0.1:1"\n')
    every = {environment_name(name): empty for name in (*OPTIONS, *BROKER_SETTINGS)}
    config = load_config({}, every, tmp_path)
    assert config.sources == {"num.partitions": "tidelog.toml", "http": "tidelog.toml"}
    assert (config.http[0].port, config.broker["num.partitions"]) == (1, 3)


@pytest.mark.parametrize("name", ["data_dir", "http", "kafka", "log_level"])
def test_an_empty_flag_is_a_mistake(name: str) -> None:
    with pytest.raises((ConfigError, InvalidSetting), match=name.replace("_", ".")):
        load_config({name: ""}, {}, HERE)


def test_a_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/of/a-user")
    flags, variables, file = {"data_dir": "~/flag"}, {"TIDELOG_DATA_DIR": "~/variable"}, tmp_path
    (file / "tidelog.toml").write_text('data_dir = "~"\n')
    assert load_config(flags, variables, file).data_dir == "/home/of/a-user/flag"
    assert load_config({}, variables, file).data_dir == "/home/of/a-user/variable"
    assert load_config({}, {}, file).data_dir == "/home/of/a-user"
    root = load_config({"data_dir": "~root/data"}, {}, HERE).data_dir
    assert root == os.path.expanduser("~root/data") != "~root/data"
    for here in ("./~", "a/~/b", "a~"):
        assert load_config({"data_dir": here}, {}, HERE).data_dir == here


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("~no-such-user/x", r"a directory here is \./~no-such-user/x"),
        ("a\0b", "is not the path of a directory"),
        ("a/" * 3000, "too long"),
    ],
)
def test_a_path_that_cannot_be_one(path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config({"data_dir": path}, {}, HERE)


@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbf", b"\xef\xbb\xbf# a comment\r\n", b"", b"# caf\xc3\xa9\r\n"]
)
def test_a_file_from_any_editor(tmp_path: Path, start: bytes) -> None:
    config = from_file(tmp_path, start + b'"num.partitions" = 3\r\nhttp = "127.0.0.1:1"\r\n')
    assert (config.http[0].port, config.broker["num.partitions"]) == (1, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfeh\0t\0t\0p\0", "it is not UTF-8"),
        (b"# caf\xe9", "it is not UTF-8"),
        (b"x = " + b"[" * 5000, "nested too deeply"),
        (b"http = 8082", "http must be text in quotes"),
        (b"kafka = false", "kafka must be text in quotes"),
        (b"data_dir = 2020-01-01", "data_dir must be text in quotes"),
        (b'data_dir = ["a", "b"]', "data_dir must be text in quotes"),
        (b"data_dir = ''", "data_dir: '' is not the path"),
        (b'"num.partitions" = 4.0', r"num\.partitions=4\.0: must be a whole number"),
        (b'"num.partitions" = true', "must be a whole number"),
        (b'"num.partitions" = 2020-01-01', r"num\.partitions must be text, a number"),
        (b'"num.partitions" = 07:32:00', r"num\.partitions must be text, a number"),
        (b'"cors.origins" = [["https://a.example"]]', r"cors\.origins must be text"),
        (b'"cors.origins" = [{a = 1}]', r"cors\.origins must be text"),
        (b"[http]\nport = 1", "write dotted names in quotes"),
        (b"log.retention.ms = 1", "write dotted names in quotes"),
        (b'"log.cleaner.min.cleanable.ratio" = nan', "must be at least 0"),
        (b'"advertised.listeners" = "x:1"', "cannot be set; --advertised HOST:PORT says it"),
    ],
)
def test_a_file_that_says_something_else(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises((ConfigError, InvalidSetting), match=said):
        from_file(tmp_path, content)


def test_numbers_and_lists_in_a_file(tmp_path: Path) -> None:
    content = b'"log.cleaner.min.cleanable.ratio" = 0.25\n"cors.origins" = ["https://a.example"]\n'
    config = from_file(tmp_path, content)
    assert config.broker["log.cleaner.min.cleanable.ratio"] == 0.25
    assert config.broker["cors.origins"] == ("https://a.example",)


def test_several_addresses(tmp_path: Path) -> None:
    both = (Address("127.0.0.1", 1), Address("::1", 2))
    in_file = b'http = ["127.0.0.1:1", "[::1]:2", "127.0.0.1:1"]\nkafka = "127.0.0.1:1, [::1]:2"'
    config = from_file(tmp_path, in_file + b'\nadvertised = ["a:1", "b:2"]')
    assert (config.http, config.kafka) == (both, both)
    assert config.advertised == (Address("a", 1), Address("b", 2))
    shown = {one.name: one.value for one in shown_settings(config)}
    assert (shown["http"], shown["advertised"]) == ("127.0.0.1:1,[::1]:2", "a:1,b:2")
    assert load_config({"kafka": "off"}, {}, HERE).kafka == ()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"http": "127.0.0.1:1,"}, "http: '' is not HOST:PORT: the port is missing"),
        ({"kafka": "off,127.0.0.1:1"}, "kafka: 'off' is not HOST:PORT"),
        ({"kafka": "a:1,b:1,c:1", "advertised": "x:1,y:1"}, "2 do not go with 3"),
        ({"kafka": "off", "advertised": "x:1,y:1"}, "2 do not go with 0"),
        ({"advertised": "x:1,0.0.0.0:1"}, "clients cannot connect to 0.0.0.0"),
    ],
)
def test_addresses_that_do_not_go_together(flags: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(flags, {}, HERE)


def test_a_level_in_capitals() -> None:
    assert load_config({"log_level": "INFO"}, {}, HERE).broker.log_levels == ("info", {})


def test_a_file_of_another_name_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "tidelog.toml").write_text('"num.partitions" = 2')
    (tmp_path / "other.toml").write_text('"message.max.bytes" = 1000')
    config = load_config({}, {}, tmp_path, file="other.toml")
    assert config.sources == {"message.max.bytes": "other.toml"}


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.toml is not there"):
        load_config({}, {}, tmp_path, file="other.toml")
