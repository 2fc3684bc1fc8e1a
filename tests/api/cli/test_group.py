"""``tidelog group``: what it prints, what it changes, how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from confluent_kafka import Consumer, Producer

from tests.support.broker_process import BrokerProcess, environment
from tests.support.http_member import HttpMember, committed
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.group import _seconds

COMMAND = (sys.executable, "-m", "tidelog.api.cli", "group")
Run = Callable[..., list[str]]


@pytest.fixture
def group(http: httpx.Client, topic: str) -> str:
    """A group that is at 4, 10 and nowhere in a topic of ten records a partition."""
    name = f"group-{uuid.uuid4()}"
    records = [{"value": n, "partition": n % 3} for n in range(30)]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()
    offsets = [
        {"topic": topic, "partition": 0, "offset": 4},
        {"topic": topic, "partition": 1, "offset": 10},
    ]
    http.put(f"/v1/groups/{name}/offsets", json={"offsets": offsets}).raise_for_status()
    return name


@pytest.fixture
def run(broker: BrokerProcess) -> Run:
    """Runs ``tidelog group``; the lines it prints."""

    def run(*arguments: str, status: int = 0) -> list[str]:
        ended = subprocess.run(
            [*COMMAND, arguments[0], "--server", broker.url, *arguments[1:]],
            env=environment({"COLUMNS": "200"}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == status, ended.stderr
        return (ended.stderr if status else ended.stdout).splitlines()

    return run


def table(lines: list[str]) -> list[dict[str, str]]:
    """Tab-separated lines by their heading."""
    heading, *rows = [line.split("\t") for line in lines]
    return [dict(zip(heading, row, strict=True)) for row in rows]


class TestShow:
    def test_lag(self, run: Run, topic: str, group: str) -> None:
        summary, *lines = run("show", group)
        assert summary.endswith(f"{group}  Empty, 0 members, 6 behind")
        behind, level = table(lines)
        assert (behind["topic"], behind["partition"]) == (topic, "0")
        assert (behind["committed"], behind["end"], behind["lag"]) == ("4", "10", "6")
        assert (level["lag"], level["seconds"]) == ("0", "0")

    def test_lag_that_nobody_knows(self, run: Run, broker: BrokerProcess, topic: str) -> None:
        """A client that has committed nothing may begin at either end of what was there."""
        produced = Producer({"bootstrap.servers": broker.kafka})
        produced.produce(topic, b"unread", partition=1)
        produced.flush()
        name = f"{topic}-consumers"
        settings = {"bootstrap.servers": broker.kafka, "enable.auto.commit": False}
        consumer = Consumer({**settings, "group.id": name, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        while consumer.poll(1) is None:
            pass
        summary, *lines = run("show", name)
        consumer.close()
        assert summary.endswith("Stable, 1 member, at least 0 behind")
        assert [(row["committed"], row["lag"]) for row in table(lines[:4])] == [
            ("", "0"),
            ("", ""),
            ("", "0"),
        ]

    def test_members(self, run: Run, http: httpx.Client, topic: str, group: str) -> None:
        member = HttpMember(http, group, topic, instance_id="till-1")
        summary, *lines = run("show", group)
        assert "Stable, 1 member," in summary
        assert {row["member"] for row in table(lines[:4])} == {member.member_id}
        [row] = table(lines[4:])
        assert (row["member"], row["instance"]) == (member.member_id, "till-1")
        assert (row["client"], row["partitions"]) == ("http", "3")

    def test_json(self, run: Run, http: httpx.Client, group: str) -> None:
        shown = json.loads("\n".join(run("show", group, "--json")))
        assert shown["total_lag"] == 6
        assert shown.keys() == http.get(f"/v1/groups/{group}").json().keys()

    def test_a_group_that_is_none(self, run: Run) -> None:
        assert run("show", "nobody", status=1) == ["tidelog: there is no group 'nobody'"]


class TestWatch:
    def start(
        self, broker: BrokerProcess, *arguments: str, **options: Any
    ) -> subprocess.Popen[Any]:
        return subprocess.Popen(
            [*COMMAND, "show", "--watch", "--interval", "0.05", "--server", broker.url, *arguments],
            env=environment({"TERM": "xterm", "COLUMNS": "120"}),
            **options,
        )

    def test_plain_lines_and_a_clean_end(
        self, broker: BrokerProcess, http: httpx.Client, topic: str, group: str
    ) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with self.start(broker, group, **pipes) as watching:
            assert watching.stdout is not None
            lines = iter(watching.stdout.readline, "")
            assert "6 behind" in next(lines)
            offset = {"topic": topic, "partition": 0, "offset": 9}
            path = f"/v1/groups/{group}/offsets"
            http.put(path, json={"offsets": [offset]}).raise_for_status()
            assert any("1 behind" in line for line in lines)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(30) == 0
            assert watching.stderr is not None
            assert watching.stderr.read() == ""

    def test_json_is_a_line_a_look(self, broker: BrokerProcess, group: str) -> None:
        with self.start(broker, group, "--json", stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
            watching.send_signal(signal.SIGINT)
            assert watching.wait(30) == 0
        assert [look["total_lag"] for look in looks] == [6, 6, 6]

    def test_in_place_on_a_terminal(
        self, broker: BrokerProcess, http: httpx.Client, topic: str, group: str
    ) -> None:
        ours, theirs = pty.openpty()
        ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        with self.start(broker, group, **ends, start_new_session=True) as watching:
            os.close(theirs)
            seen = _until(ours, b"6 behind")
            offset = {"topic": topic, "partition": 0, "offset": 9}
            path = f"/v1/groups/{group}/offsets"
            http.put(path, json={"offsets": [offset]}).raise_for_status()
            seen += _until(ours, b"1 behind")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(30) == 0
        seen += b"".join(_rest(ours))
        os.close(ours)
        assert b"\x1b[" in seen, "it moves the cursor back"
        assert b"Traceback" not in seen
        assert b"Aborted" not in seen
        assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l"), "the cursor is shown again"


def _until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 65536)
    return seen


def _rest(terminal: int) -> Iterator[bytes]:
    """What is left; Linux ends a terminal that nobody has open with an error."""
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:
        return


class TestList:
    def test_names_every_group(self, run: Run, group: str) -> None:
        rows = {row["group"]: row for row in table(run("list"))}
        assert rows[group]["state"] == "Empty"
        assert rows[group]["members"] == "0"


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2.0), ("0.05", 0.05), ("2s", 2.0), ("500ms", 0.5), ("1m", 60.0)]
)
def test_intervals(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.01", "1ms", "-1", "soon", ".", "nan", "9" * 19])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(UsedWrongly, match="--interval"):
        _seconds(text)


class TestReset:
    def test_says_what_would_change_and_changes_it(
        self, run: Run, http: httpx.Client, topic: str, group: str
    ) -> None:
        arguments = ("reset", group, "--to", "shift", "--value", "-3")
        rows = table(run(*arguments, "--dry-run"))
        assert [(row["partition"], row["before"], row["after"]) for row in rows] == [
            ("0", "4", "1"),
            ("1", "10", "7"),
        ]
        assert committed(http, group) == {0: 4, 1: 10}
        assert table(run(*arguments)) == rows
        assert committed(http, group) == {0: 1, 1: 7}

    def test_of_a_topic(self, run: Run, http: httpx.Client, topic: str, group: str) -> None:
        changes = run("reset", group, "--to", "latest", "--topic", topic, "--json")
        assert len(json.loads("\n".join(changes))) == 3
        assert committed(http, group) == {0: 10, 1: 10, 2: 10}

    def test_is_refused_while_there_are_members(
        self, run: Run, http: httpx.Client, topic: str, group: str
    ) -> None:
        HttpMember(http, group, topic)
        [line] = run("reset", group, "--to", "earliest", status=1)
        assert line == f"tidelog: group '{group}' still has members"
        run("reset", group, "--to", "earliest", "--force")
        assert committed(http, group) == {0: 0, 1: 0}

    @pytest.mark.parametrize(
        ("arguments", "status", "expected"),
        [
            (("--to", "offset", "--value", "soon"), 1, "expected a whole number"),
            (("--to", "tomorrow"), 2, "earliest, latest"),
        ],
    )
    def test_bad_input(
        self, run: Run, group: str, arguments: tuple[str, ...], status: int, expected: str
    ) -> None:
        [line] = run("reset", group, *arguments, status=status)
        assert expected in line


class TestDelete:
    def test_a_group(self, run: Run, http: httpx.Client, group: str) -> None:
        assert run("delete", group) == [f"group {group} deleted"]
        assert http.get(f"/v1/groups/{group}").status_code == 404
        assert run("delete", group, status=1) == [f"tidelog: there is no group '{group}'"]


@pytest.mark.parametrize("name", ["team/app", "日本", "100%", "../x", "a b?c#d:e", "-", "%2F"])
def test_a_group_of_any_name(run: Run, http: httpx.Client, topic: str, name: str) -> None:
    member = HttpMember(http, quote(name, safe=""), topic)
    assert member.post("commit", cursor=member.cursor).status_code == 200
    member.leave()
    named = ("--", name)
    assert name in run("show", *named)[0]
    [row] = table(run("reset", "--to", "latest", "--topic", topic, "--dry-run", *named)[:2])
    assert row["topic"] == topic
    assert run("delete", *named) == [f"group {name} deleted"]
