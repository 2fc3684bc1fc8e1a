"""``tidelog status``, ``doctor``, ``cluster``, ``cache``, ``topic trim``: a broker looked after."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import Ended, tidelog
from tests.support.foreign_server import ForeignServer
from tests.support.terminal import Terminal
from tidelog.api.cli.doctor import _clock, _kafka, _process, _version

Run = Callable[..., Ended]
NOBODY = "127.0.0.1:1"


@pytest.fixture
def run(broker: BrokerProcess) -> Run:
    """Runs a command against the shared broker; it must succeed unless ``status`` says else."""

    def run(*arguments: str, status: int = 0) -> Ended:
        ended = tidelog(*arguments, "--server", broker.url)
        assert ended.status == status, ended.stderr
        return ended

    return run


def produce(http: httpx.Client, topic: str, *times: int | None, partition: int = 0) -> None:
    records = [
        {"value": n, "partition": partition, **({} if time is None else {"timestamp": time})}
        for n, time in enumerate(times)
    ]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()


def facts(ended: Ended) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in ended.lines if "\t" in line)


class TestStatus:
    def test_of_a_broker_that_serves(self, run: Run, http: httpx.Client, single: str) -> None:
        produce(http, single, None, None)
        offsets = {"offsets": [{"topic": single, "partition": 0, "offset": 1}]}
        http.put(f"/v1/groups/of-{single}/offsets", json=offsets).raise_for_status()
        ended = run("status")
        told = http.get("/v1/broker").json()
        assert facts(ended)["state"] == "ok"
        assert told["cluster_id"] in facts(ended)["cluster"]
        assert f"of-{single}\tEmpty\t0\t1" in ended.lines
        found = json.loads(run("status", "--json").stdout)
        assert set(found) == {"health", "broker", "topics", "groups"}
        assert single in [one["name"] for one in found["topics"]]
        lags = {one["group"]: one.get("total_lag") for one in found["groups"]}
        assert lags[f"of-{single}"] == 1

    def test_of_none(self) -> None:
        ended = tidelog("status", "--server", NOBODY)
        assert (ended.status, ended.stdout) == (1, "")
        assert "no broker answers" in ended.stderr

    @pytest.mark.parametrize("command", ["status", "doctor"])
    def test_of_one_that_fails(
        self, start_broker: Callable[..., BrokerProcess], command: str
    ) -> None:
        broker = start_broker()
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "gone"}).raise_for_status()
            produce(http, "gone", None)
        for path in (broker.data_dir / "gone-0").iterdir():
            path.unlink()
        (broker.data_dir / "gone-0").rmdir()
        ended = tidelog(command, "--server", broker.url)
        assert (ended.status, ended.stderr) == (1, "")
        assert "failing" in ended.stdout
        assert "gone-0" in ended.stdout

    def test_of_one_that_recovers(self) -> None:
        told = {
            "status": "recovering",
            "recovered": 3,
            "total": 9,
            "recovered_bytes": 1024,
            "total_bytes": 4096,
            "problems": [],
            "broken": [],
        }
        body = json.dumps(told).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with ForeignServer(head + body) as server:
            ended = tidelog("status", "--server", server.url)
        assert ended.status == 1
        assert facts(ended)["state"] == "recovering: 3 of 9 partitions, 1.0 KiB of 4.0 KiB"


class TestDoctor:
    def test_of_a_sound_broker(self, run: Run) -> None:
        checks = json.loads(run("doctor", "--json").stdout)
        verdicts = {one["check"]: one["verdict"] for one in checks}
        assert verdicts["health"] == verdicts["version"] == verdicts["kafka"] == "ok"
        assert verdicts["clock"] == "ok"
        assert run("doctor").lines[0] == "check\tverdict\tfound"

    def test_of_none(self) -> None:
        ended = tidelog("doctor", "--server", NOBODY, "--json")
        [check] = json.loads(ended.stdout)
        assert (ended.status, check["check"], check["verdict"]) == (1, "http", "wrong")

    def test_groups_that_nobody_serves(self, run: Run, http: httpx.Client, single: str) -> None:
        produce(http, single, None)
        offsets = {"offsets": [{"topic": single, "partition": 0, "offset": 0}]}
        http.put(f"/v1/groups/left-{single}/offsets", json=offsets).raise_for_status()
        said = f"groups\twarning\tleft-{single} has no members and is 1 record behind"
        assert said in run("doctor").lines

    @pytest.mark.parametrize(
        ("ahead_ms", "verdict", "said"),
        [
            (0, "ok", "as here"),
            (5_000, "ok", "as here"),
            (61_000, "warning", "1m1s ahead of"),
            (-3_600_000, "warning", "1h behind"),
        ],
    )
    def test_clocks(self, ahead_ms: int, verdict: str, said: str) -> None:
        check = _clock(ahead_ms)
        assert check.verdict == verdict
        assert said in check.found

    def test_versions(self) -> None:
        assert _version("0.0.1").verdict == "warning"

    def test_kafka_that_is_not_there(self) -> None:
        assert _kafka(None, "127.0.0.1").verdict == "ok"
        check = _kafka(NOBODY, "127.0.0.1")
        assert check.verdict == "wrong"
        assert "--advertised" in check.found
        with ForeignServer(b"no") as server:
            check = _kafka(server.url.removeprefix("http://"), "127.0.0.1")
        assert check.verdict == "wrong"
        assert "does not speak" in check.found

    def test_kafka_that_listens_everywhere(self, broker: BrokerProcess) -> None:
        port = str(broker.kafka).rpartition(":")[2]
        assert _kafka(f"0.0.0.0:{port}", "127.0.0.1").verdict == "ok"

    @pytest.mark.parametrize(
        ("metrics", "verdicts"),
        [
            ({}, []),
            ({"process_max_fds": 65_536, "process_open_fds": 100}, ["ok"]),
            ({"process_max_fds": 65_536, "process_open_fds": 60_000}, ["warning"]),
            ({"process_max_fds": 1024, "process_open_fds": 100}, ["warning"]),
        ],
    )
    def test_what_the_process_uses(self, metrics: dict[str, float], verdicts: list[str]) -> None:
        assert [check.verdict for check in _process(metrics)] == verdicts


def test_cluster(run: Run, http: httpx.Client) -> None:
    told = json.loads(run("cluster", "show", "--json").stdout)
    assert told["cluster_id"] == http.get("/v1/broker").json()["cluster_id"]
    assert facts(run("cluster", "describe"))["cluster"] == told["cluster_id"]


def test_settings_of_the_broker(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()

    def run(*arguments: str, status: int = 0) -> Ended:
        ended = tidelog("cluster", *arguments, "--server", broker.url)
        assert ended.status == status, ended.stderr
        return ended

    assert run("alter", "--set", "log.retention.ms=7d").stdout == "log.retention.ms changed\n"
    assert "log.retention.ms\t604800000\tdynamic" in run("settings").lines
    every = json.loads(run("settings", "--all-settings", "--json").stdout)
    assert {one["name"]: one["value"] for one in every}["log.retention.ms"] == "604800000"
    run("alter", "--reset", "log.retention.ms")
    assert "log.retention.ms" not in run("settings").stdout
    assert "did you mean" in run("alter", "--set", "log.retention.m=1", status=1).stderr
    assert "--set" in run("alter", status=2).stderr


class TestCache:
    def test_its_life(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker()

        def run(*arguments: str, status: int = 0) -> Ended:
            ended = tidelog("cache", *arguments, "--server", broker.url)
            assert ended.status == status, ended.stderr
            return ended

        with broker.client() as http:
            http.post("/v1/topics", json={"name": "warm"}).raise_for_status()
            produce(http, "warm", None, None, None)
            assert "of warm-0 cached" in run("warm", "warm").stdout
            assert any(line.startswith("warm\t") for line in run("show").lines)
            assert "of 1.0 MiB" in run("alter", "--budget", "1MiB", "--ttl", "90s").stdout
            shown: dict[str, Any] = http.get("/v1/cache").json()
            assert (shown["budget_bytes"], shown["ttl_ms"]) == (1024**2, 90_000)
            assert json.loads(run("describe", "--json").stdout)["ttl_ms"] == 90_000
            assert "dropped" in run("drop", "warm").stdout
            assert run("drop", "warm", "-p", "0").stdout == "0 entries dropped\n"
            assert "there is no topic" in run("warm", "cold", status=1).stderr
            for wrong in (("--budget", "much"), ("--ttl", "1MiB"), ()):
                assert run("alter", *wrong, status=2).stdout == ""


class TestTrim:
    @pytest.mark.parametrize(
        ("before", "starts"),
        [
            (("--before", "2", "-p", "0"), [2, 0]),
            (("--before", "latest"), [3, 2]),
            (("--before", "ts:2000"), [1, 0]),
            (("--before", "1970-01-02"), [3, 2]),
            (("--before", "earliest"), [0, 0]),
            (("--before", "latest", "--partition", "1"), [0, 2]),
        ],
    )
    def test_what_goes(
        self, run: Run, http: httpx.Client, single: str, before: tuple[str, ...], starts: list[int]
    ) -> None:
        topic = f"{single}-{len(before)}-{before[1].replace(':', '-')}"
        made = http.post("/v1/topics", json={"name": topic, "partitions": 2})
        made.raise_for_status()
        produce(http, topic, 1000, 2000, 3000)
        produce(http, topic, 2000, 3000, partition=1)
        ended = run("topic", "trim", topic, *before, "--yes")
        shown = http.get(f"/v1/topics/{topic}").json()["partitions"]
        assert [one["start_offset"] for one in shown] == starts
        count = sum(starts)
        assert ended.stdout.startswith(f"{count} record{'' if count == 1 else 's'} of topic")
        run("topic", "rm", topic, "-y")

    @pytest.mark.parametrize(
        ("before", "status", "said"),
        [
            (("--before", "9"), 1, "9"),
            (("--before", "yesterday"), 1, "is not a time"),
            (("--before", "1", "-p", "7"), 1, "no partition 7"),
            ((), 2, "--before"),
        ],
    )
    def test_what_cannot(
        self,
        run: Run,
        http: httpx.Client,
        single: str,
        before: tuple[str, ...],
        status: int,
        said: str,
    ) -> None:
        produce(http, single, None)
        ended = run("topic", "trim", single, *before, "--yes", status=status)
        assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)
        assert said in ended.stderr

    def test_it_asks(self, broker: BrokerProcess, http: httpx.Client, single: str) -> None:
        produce(http, single, None)
        words = ("topic", "trim", single, "--before", "latest", "--server", broker.url)
        ended = tidelog(*words, stdin="n\n")
        assert (ended.status, ended.stderr) == (1, "tidelog: nothing was done\n")
        assert "Delete 1 record of topic" in ended.stdout
        [partition] = http.get(f"/v1/topics/{single}").json()["partitions"]
        assert partition["start_offset"] == 0


class TestReset:
    @pytest.mark.parametrize(
        ("to", "after"),
        [
            (("--to", "1"), 1),
            (("--to", "-1h"), 2),
            (("--to", "1970-01-01"), 0),
            (("--to", "ts:2000"), 1),
            (("--to", "now"), 3),
            (("--to", "duration", "--value", "1h30m"), 2),
            (("--to", "timestamp", "--value", "1970-01-01T00:00:02Z"), 1),
            (("--to", "shift", "--value", "-1"), 1),
        ],
    )
    def test_where_to(
        self, run: Run, http: httpx.Client, single: str, to: tuple[str, ...], after: int
    ) -> None:
        produce(http, single, 1000, 2000, None)
        group = f"reset-{single}-{abs(hash(to))}"
        offsets = {"offsets": [{"topic": single, "partition": 0, "offset": 2}]}
        http.put(f"/v1/groups/{group}/offsets", json=offsets).raise_for_status()
        changes = json.loads(run("group", "reset", group, *to, "--json").stdout)
        assert [one["after"] for one in changes] == [after]

    def test_nowhere(self, run: Run) -> None:
        assert "earliest, latest" in run("group", "reset", "g", "--to", "x", status=2).stderr


def test_on_a_terminal_of_80_columns(broker: BrokerProcess, http: httpx.Client) -> None:
    name = "a.topic.with.a.rather.long.name.as.they.are.common.in.companies.version-1"
    settings = {"retention.ms": "7d", "segment.bytes": "64MiB"}
    http.post("/v1/topics", json={"name": name, "settings": settings})
    for words in (("topic", "ls"), ("topic", "describe", name), ("status",), ("doctor",)):
        command = [os.path.join(os.path.dirname(sys.executable), "tidelog"), *words]
        with Terminal(command, variables={"TIDELOG_SERVER": broker.url}) as terminal:
            assert terminal.end() == 0
        text = terminal.seen.decode().replace("\r\n", "\n")
        assert "\t" not in text
        if words[1:2] == ("describe",):
            assert "604800000 (7d)" in text
            assert "67108864 (64.0 MiB)" in text
