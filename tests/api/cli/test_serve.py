"""``tidelog serve``: its flags, where settings come from, what it prints and where."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.command_line import tidelog
from tests.support.kafka_wire import Wire
from tidelog.api.address import Address


def shown(directory: Path, *flags: str, **variables: str) -> dict[str, dict[str, str]]:
    """The settings by name, as --show-settings --json has them."""
    ended = tidelog(
        "serve", "--show-settings", "--json", *flags, variables=variables, directory=directory
    )
    assert ended.status == 0, ended.stderr
    return {one["name"]: one for one in json.loads(ended.stdout)}


def test_flags_before_variables_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "tidelog.toml").write_text(
        'http = "127.0.0.1:1"\n"num.partitions" = 2\n"log.retention.hours" = 3\n'
        '"delete.topic.enable" = false\n"cors.origins" = ["https://a.example", "https://b.example"]'
    )
    variables = {"TIDELOG_NUM_PARTITIONS": "4", "TIDELOG_HTTP": "127.0.0.1:2"}
    found = shown(tmp_path, "--set", "num.partitions=6", **variables)

    def of(name: str) -> tuple[str, str]:
        return found[name]["value"], found[name]["source"]

    assert of("num.partitions") == ("6", "flag")
    assert of("http") == ("127.0.0.1:2", "environment")
    assert of("log.retention.hours") == ("3", "tidelog.toml")
    assert of("delete.topic.enable") == ("false", "tidelog.toml")
    assert of("cors.origins") == ("https://a.example,https://b.example", "tidelog.toml")
    assert of("message.max.bytes") == ("1048588", "default")
    assert of("data_dir") == ("./tidelog-data", "default")
    assert all(one["documentation"] for one in found.values())


def test_settings_for_people(tmp_path: Path) -> None:
    ended = tidelog("serve", "--show-settings", "--no-kafka", directory=tmp_path)
    lines = [line.split() for line in ended.lines]
    assert ["kafka", "off", "flag"] in lines
    assert ["http", "127.0.0.1:8082", "default"] in lines
    assert not (tmp_path / "tidelog-data").exists()


def test_one_line_on_stdout_and_the_rest_on_stderr(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tidelog.api.cli", "serve", "--data-dir", "here"),
            *("--http", "127.0.0.1:0", "--no-kafka", "--log-level", "debug"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        assert ready.keys() == {"event", "http", "kafka", "pid", "start_ms"}
        assert (ready["event"], ready["kafka"], ready["pid"]) == ("ready", None, process.pid)
        assert 0 < ready["start_ms"] < 60_000
        assert httpx.get(f"{ready['http']}/v1/broker", timeout=60).json()["kafka"] is None
        process.terminate()
        rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    assert "stopping" in said
    assert (tmp_path / "here" / "meta.properties").exists()


def test_open_to_the_network_is_said(start_broker: Callable[..., BrokerProcess]) -> None:
    quiet = start_broker()
    assert "without access control" not in quiet.stderr
    broker = start_broker("--http", "0.0.0.0:0", "--kafka", "0.0.0.0:0")
    assert broker.stderr.count("without access control") == 2


def test_settings_reach_the_broker(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--set", "num.partitions=5")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"})
        assert len(http.get("/v1/topics/t").json()["partitions"]) == 5


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help(asked: str) -> None:
    ended = tidelog("serve", asked)
    assert ended.status == 0
    assert "Usage: tidelog serve" in ended.stdout
    for flag in ("--data-dir", "--http", "--kafka", "--no-kafka", "--advertised", "--set"):
        assert flag in ended.stdout


def test_variables_of_a_service_are_said_once(tmp_path: Path) -> None:
    variables = {"TIDELOG_PORT": "tcp://10.0.0.7:8082", "TIDELOG_SERVICE_HOST": "10.0.0.7"}
    broker = BrokerProcess(tmp_path / "data", environment=variables)
    broker.stop()
    assert broker.stderr.count("TIDELOG_PORT, TIDELOG_SERVICE_HOST") == 1


def test_ipv6_addresses_are_told_in_brackets(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--http", "[::1]:0", "--kafka", "[::1]:0")
    assert broker.url.startswith("http://[::1]:")
    assert broker.kafka.startswith("[::1]:")
    with broker.client() as http:
        told = http.get("/v1/broker").json()
    assert (told["http"], told["kafka"]) == (broker.url, broker.kafka)


def brokers_told(address: str) -> list[str]:
    """What a Kafka client of a listener learns."""
    with contextlib.closing(Wire(address)) as wire:
        brokers = wire.ask("metadata", 1, topics=[])["brokers"]
    return [str(Address(one["host"], one["port"])) for one in brokers]


def reachable(address: str, host: str) -> bool:
    """Whether something listens at the port of ``address`` on ``host``."""
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(address.rpartition(":")[2])), timeout=30).close()
        return True
    return False


def test_several_addresses(start_broker: Callable[..., BrokerProcess]) -> None:
    """Clients of each are told their own, or what was said of it."""
    two = "127.0.0.1:0,[::1]:0"
    told = "here.example:1,there.example:2"
    broker = start_broker("--http", two, "--kafka", two, "--advertised", told)
    http, other_http, kafka, other_kafka = broker.ready["listeners"]
    assert (http, kafka) == (broker.url, f"kafka://{broker.kafka}")
    for url in (http, other_http):
        broker_seen = httpx.get(f"{url}/v1/broker", timeout=60).json()
        assert broker_seen["listeners"] == broker.ready["listeners"]
    for listener, advertised in zip((kafka, other_kafka), told.split(","), strict=True):
        assert brokers_told(listener.removeprefix("kafka://")) == [advertised]


def test_one_advertised_address_for_all(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--kafka", "127.0.0.1:0,127.0.0.2:0", "--advertised", "all.example:7")
    for listener in broker.ready["listeners"][1:]:
        assert brokers_told(listener.removeprefix("kafka://")) == ["all.example:7"]


def test_every_address_of_ipv6_is_every_address(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--http", "[::]:0", "--kafka", "[::]:0")
    for address in (broker.url, broker.kafka):
        assert reachable(address, "127.0.0.1")
        assert reachable(address, "::1")
    port = broker.kafka.rpartition(":")[2]
    # Clients of IPv4 may know nothing of its addresses as IPv6 writes them.
    assert brokers_told(f"127.0.0.1:{port}") == [f"127.0.0.1:{port}"]
    assert brokers_told(f"[::1]:{port}") == [f"[::1]:{port}"]


def test_each_family_may_have_its_own(start_broker: Callable[..., BrokerProcess]) -> None:
    before = start_broker()
    before.stop()
    free = before.kafka.rpartition(":")[2]
    broker = start_broker("--kafka", "0.0.0.0:0", "--http", f"0.0.0.0:{free},[::]:{free}")
    assert [one.rpartition(":")[2] for one in broker.ready["listeners"][:2]] == [free, free]


def test_a_name_has_one_port(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--http", "localhost:0")
    found = {place[0] for *_, place in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert all(reachable(broker.url, host) for host in found)


def test_one_of_several_is_taken(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    there = start_broker()
    taken = there.kafka
    ended = tidelog(
        *("serve", "--data-dir", str(tmp_path / "other"), "--http", "127.0.0.1:0"),
        *("--kafka", f"127.0.0.1:0,{taken}"),
    )
    assert (ended.status, ended.stdout) == (1, "")
    assert f"cannot listen on {taken} for Kafka: Address already in use" in ended.stderr
