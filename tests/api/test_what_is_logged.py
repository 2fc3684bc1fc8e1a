"""What a broker tells in its log of what happens to it: enough to follow it, each thing once."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, command, environment
from tests.support.kafka_wire import Wire
from tests.support.running_app import RunningApp
from tidelog.api.refusals import TOLD_IN_FULL


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    small = {"log.segment.bytes": "1048576", "group.min.session.timeout.ms": "1"}
    with RunningApp(tmp_path_factory.mktemp("broker") / "data", **small) as running:
        yield running


@pytest.fixture
def http(app: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tidelog")
    return caplog


def of(told: pytest.LogCaptureFixture, area: str, **names: object) -> list[str]:
    """The messages of an area that were told with these names."""
    return [
        one.getMessage()
        for one in told.records
        if one.name == f"tidelog.{area}" and names.items() <= vars(one).items()
    ]


def soon(told: pytest.LogCaptureFixture, http: httpx.Client, message: str) -> None:
    """Until it is told; the broker is asked meanwhile, so that time goes by."""
    deadline = time.monotonic() + 60
    while message not in told.messages:
        assert time.monotonic() < deadline, told.messages
        http.get("/health/live").raise_for_status()


def test_topics(http: httpx.Client, told: pytest.LogCaptureFixture) -> None:
    http.post("/v1/topics", json={"name": "made", "settings": {"retention.ms": "1h"}})
    changes = {"settings": {"segment.ms": "1d", "retention.ms": None}, "partitions": 3}
    http.patch("/v1/topics/made", json={**changes, "validate_only": True}).raise_for_status()
    http.patch("/v1/topics/made", json=changes).raise_for_status()
    http.patch("/v1/topics/made", json={"settings": {"cleanup.policy": None}}).raise_for_status()
    http.delete("/v1/topics/made").raise_for_status()
    assert of(told, "topics", topic="made") == [
        "topic made is made: 1 partition, retention.ms=3600000",
        "topic made has 3 partitions, it had 1",
        "topic made: segment.ms=86400000, reset retention.ms=604800000",
        "topic made: reset cleanup.policy=delete",
        "topic made is deleted: 3 partitions, 0 bytes",
    ]


def test_retention_and_compaction(
    app: RunningApp, http: httpx.Client, told: pytest.LogCaptureFixture
) -> None:
    large = {"records": [{"key": f"k{n % 2}", "value": "x" * 100_000} for n in range(8)]}
    for name, settings in (
        ("old", {"retention.bytes": 1, "compression.type": "uncompressed"}),
        ("keyed", {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0}),
    ):
        http.post("/v1/topics", json={"name": name, "settings": settings}).raise_for_status()
        for _ in range(3):
            http.post(f"/v1/topics/{name}/records", json=large).raise_for_status()
    app.housekeep()
    app.housekeep()
    assert of(told, "retention", topic="old", partition=0) == [
        "old-0: offsets 0 to 15 went by size, 2 segments"
    ]
    (compacted,) = of(told, "compaction", topic="keyed")
    found = re.fullmatch(
        r"keyed-0 is compacted up to offset 16: (\d+) bytes became (\d+)", compacted
    )
    assert found is not None
    assert int(found[1]) > 1_500_000 > 400_000 > int(found[2])


def join(wire: Wire, group: str, member: str = "", session_ms: int = 60_000) -> tuple[str, int]:
    """The member's id, and the generation that it is in."""
    joined = wire.ask(
        "join_group",
        2,
        group_id=group,
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=60_000,
        member_id=member,
        protocol_type="consumer",
        protocols=[{"name": "range", "metadata": b""}],
    )
    generation = joined["generation_id"]
    fields = {"group_id": group, "generation_id": generation, "member_id": joined["member_id"]}
    wire.ask("sync_group", 2, **fields, assignments=[])
    return joined["member_id"], generation


def test_classic_groups(
    app: RunningApp, http: httpx.Client, told: pytest.LogCaptureFixture
) -> None:
    wire = Wire(app.kafka)
    member, generation = join(wire, "classic")
    for _ in range(3):
        beat = {"group_id": "classic", "generation_id": generation, "member_id": member}
        assert wire.ask("heartbeat", 2, **beat)["error_code"] == 0
    wire.ask("leave_group", 2, group_id="classic", member_id=member)
    silent, _ = join(wire, "classic", session_ms=3000)
    wire.close()
    soon(told, http, "group classic has no members any more after generation 4")
    assert of(told, "groups", group="classic") == [
        "group classic is stable in generation 1: 1 member",
        "group classic has no members any more after generation 2",
        "group classic is stable in generation 3: 1 member",
        f"group classic: member {silent} was not heard of in time and is given up",
        "group classic has no members any more after generation 4",
    ]
    assert http.delete("/v1/groups/classic").is_success
    assert of(told, "groups", group="classic")[-1] == "group classic is gone"


def test_groups_of_http_members(http: httpx.Client, told: pytest.LogCaptureFixture) -> None:
    http.post("/v1/topics", json={"name": "read"}).raise_for_status()
    members = []
    for _ in range(2):
        joined = http.post("/v1/groups/new/members", json={"topics": ["read"]})
        members.append(joined.raise_for_status().json()["member_id"])
    for member in members:
        http.delete(f"/v1/groups/new/members/{member}").raise_for_status()
    messages = of(told, "groups", group="new")
    shapes = [re.sub(r"epoch \d+", "epoch N", one) for one in messages]
    assert shapes == [
        "group new is in epoch N: 1 member",
        "group new is in epoch N: 2 members",
        "group new is in epoch N: 1 member",
        "group new has no members any more in epoch N",
    ]


def test_settings_of_the_broker(http: httpx.Client, told: pytest.LogCaptureFixture) -> None:
    for value in ("9000", "9000", None):
        change = {"settings": {"log.roll.ms": value}}
        http.patch("/v1/broker/settings", json=change).raise_for_status()
    assert of(told, "settings", setting="log.roll.ms") == [
        "log.roll.ms is 9000, it was None",
        "log.roll.ms is None, it was 9000",
    ]


@pytest.mark.parametrize("door", ["http", "kafka"])
def test_a_flood_of_bad_connections_is_counted(
    app: RunningApp, told: pytest.LogCaptureFixture, door: str
) -> None:
    """However many come: the first few in full, the others when the minute is over."""
    host, _, port = (app.url.removeprefix("http://") if door == "http" else app.kafka).rpartition(
        ":"
    )
    for _ in range(300):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"\xff" * 40 if door == "kafka" else b"no request\r\n\r\n")
            while connection.recv(4096):
                pass
    lines = of(told, door)
    assert len(lines) == TOLD_IN_FULL
    assert all(line.startswith(f"{host}:") for line in lines)


def test_a_failure_is_told_under_the_id_that_the_client_has(
    app: RunningApp,
    http: httpx.Client,
    told: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(app.app.broker, "topic", fail)
    for path in ("/v1/topics/t", "/v1/topics/t/partitions/0/records"):
        told.clear()
        answer = http.get(path, headers={"X-Request-Id": "mine"})
        assert answer.status_code == 500
        assert answer.headers["X-Request-Id"] == "mine"
        (event,) = [one for one in told.records if one.levelno == logging.ERROR]
        assert vars(event)["request_id"] == "mine"
        assert event.exc_info is not None
        assert "(request mine)" in event.getMessage()


def test_every_request_where_it_is_asked_for(
    http: httpx.Client, told: pytest.LogCaptureFixture
) -> None:
    http.get("/v1/broker")
    assert of(told, "http") == []
    told.set_level(logging.DEBUG, "tidelog.http")
    answer = http.get("/v1/topics/absent")
    (line,) = of(told, "http", request_id=answer.headers["X-Request-Id"], status=404)
    assert line.startswith("GET /v1/topics/absent: 404 after ")


def test_every_kafka_connection_where_it_is_asked_for(
    app: RunningApp, http: httpx.Client, told: pytest.LogCaptureFixture
) -> None:
    told.set_level(logging.DEBUG, "tidelog.kafka")
    host, _, port = app.kafka.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        address = "{}:{}".format(*connection.getsockname())
    soon(told, http, f"{address} has gone: the connection was closed")
    assert of(told, "kafka")[0] == f"{address} has connected"


def test_a_start_and_a_stop(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data", "--log-format", "json", "--set", "num.partitions=2")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "orders"}).raise_for_status()
    broker.kill()
    broker.start()
    broker.restart()
    broker.stop()
    starts = starts_of([json.loads(line) for line in broker.stderr.splitlines()])
    assert len(starts) == 3
    for events in starts:
        messages = [one["message"] for one in events]
        assert events[0]["data_dir"] == str(tmp_path / "data")
        assert messages[0].startswith(f"Tidelog {events[0]['version']} begins: data in ")
        assert messages[1] == "settings: log.format=json (flag), num.partitions=2 (flag)"
        (ready,) = (one for one in events if "listeners" in one)
        assert [one.split("://")[0] for one in ready["listeners"]] == ["http", "kafka"]
    killed, recovered, clean = starts
    assert "topic orders is made: 2 partitions" in [one["message"] for one in killed]
    assert "stopping" not in [one["message"] for one in killed]
    assert "1 topics, 2 partitions" in ready_of(recovered)
    assert "the last stop was clean" not in ready_of(recovered)
    assert ready_of(clean).endswith("1 topics, 2 partitions, the last stop was clean")
    for events in (recovered, clean):
        messages = [one["message"] for one in events[-2:]]
        assert messages == ["stopping", "stopped: the data directory is whole"]


def test_a_start_that_fails(tmp_path: Path) -> None:
    """Once on standard error for who started it, once in the file for who looks later."""
    file = tmp_path / "broker.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = ("--kafka", f"127.0.0.1:{taken.getsockname()[1]}", "--log-file", str(file))
        ended = subprocess.run(
            [*command(tmp_path / "data"), *flags],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    (line,) = ended.stderr.splitlines()
    assert line.startswith("tidelog: cannot listen on ")
    (logged,) = file.read_text().splitlines()
    assert logged.endswith(f" ERROR broker: {line.removeprefix('tidelog: ')}")


def starts_of(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    starts: list[list[dict[str, Any]]] = []
    for event in events:
        if "version" in event:
            starts.append([])
        starts[-1].append(event)
    return starts


def ready_of(events: list[dict[str, Any]]) -> str:
    (message,) = (one["message"] for one in events if "listeners" in one)
    return str(message)
