"""``tidelog produce``, ``consume`` and ``replay``: every form of input and of output."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import Ended, tidelog
from tests.support.http_member import HttpMember

Run = Callable[..., Ended]
START_MS = 1_700_000_000_000


@pytest.fixture
def run(broker: BrokerProcess) -> Run:
    """Runs a command against the shared broker."""

    def run(*arguments: str, stdin: str = "") -> Ended:
        return tidelog(*arguments, stdin=stdin, variables={"TIDELOG_SERVER": broker.url})

    return run


def records(http: httpx.Client, topic: str) -> list[dict[str, Any]]:
    return list(http.get(f"/v1/topics/{topic}/records").json()["records"])


class TestProduce:
    def test_arguments(self, run: Run, http: httpx.Client, single: str) -> None:
        flags = ("--key", "k", "--header", "trace=a=b", "--acks", "1")
        ended = run("produce", single, "one", "two", *flags)
        assert (ended.status, ended.stdout) == (0, "")
        assert ended.stderr == f"2 records written to {single}\n"
        first, second = records(http, single)
        assert (first["key"], first["value_text"], second["value_text"]) == ("k", "one", "two")
        assert first["headers"] == {"trace": "a=b"}

    def test_lines(self, run: Run, http: httpx.Client, single: str) -> None:
        ended = run("produce", single, stdin="".join(f"line {n}\n" for n in range(2500)) + "\nend")
        assert ended.stderr == f"2502 records written to {single}\n"
        answer = http.get(f"/v1/topics/{single}/partitions/0/records", params={"offset": -2})
        assert [one["value_text"] for one in answer.json()["records"]] == ["", "end"]

    def test_ndjson(self, run: Run, http: httpx.Client, single: str) -> None:
        lines = '{"key": "a", "value": {"n": 1}, "timestamp": 1700000000000}\n\n{"value":[3]}\n'
        assert run("produce", single, "--format", "ndjson", stdin=lines).status == 0
        found = records(http, single)
        assert found[0]["timestamp"] == START_MS
        assert [(one["key"], one["value"]) for one in found] == [("a", {"n": 1}), (None, [3])]

    def test_csv(self, run: Run, http: httpx.Client, single: str) -> None:
        text = 'id,at,name\n7,1700000000000,"Ada, L."\n8,1700000060000,Bob\n'
        columns = ("--key-column", "id", "--timestamp-column", "at")
        assert run("produce", single, "--format", "csv", *columns, stdin=text).status == 0
        first, second = records(http, single)
        assert (first["key"], first["timestamp"]) == ("7", START_MS)
        assert first["value"] == {"id": "7", "at": "1700000000000", "name": "Ada, L."}
        assert second["key"] == "8"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--format", "xml"), "expected lines, ndjson, csv or raw"),
            (("--format", "ndjson", "--envelope", "yes"), "expected auto, always or never"),
            (("--envelope", "never"), "--envelope and --keep go with --format ndjson"),
            (("--key-column", "a"), "go with --format csv"),
            (("--format", "csv", "--delimiter", "::"), "expected one character, or tab"),
            (("one", "--format", "raw"), "with values on the command line"),
            (("--header", "nothing"), "'nothing' is not NAME=VALUE"),
            (("--header", "a=\udcff"), "not UTF-8"),
            (("--acks", "7"), "expected all, -1, 1 or 0"),
        ],
    )
    def test_used_wrongly(
        self, run: Run, single: str, arguments: tuple[str, ...], said: str
    ) -> None:
        ended = run("produce", single, *arguments, stdin="x")
        assert (ended.status, ended.stdout) == (2, "")
        assert ended.stderr.startswith("tidelog: ")
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1

    def test_a_topic_that_is_not_utf8(self, run: Run) -> None:
        assert run("produce", "a\udcff", "x").stderr == "tidelog: 'a\\udcff' is not UTF-8\n"

    def test_a_topic_that_is_not_there_is_made(self, run: Run, single: str) -> None:
        ended = run("produce", f"{single}-made", "x")
        assert (ended.status, ended.stderr) == (0, f"1 record written to {single}-made\n")
        assert run("consume", f"{single}-made").stdout == "\tx\n"


@pytest.fixture
def filled(http: httpx.Client, topic: str) -> str:
    """Thirty records, one a second, in turns over three partitions."""
    sent = [
        {"key": f"k{n}", "value": n, "partition": n % 3, "timestamp": START_MS + n * 1000}
        for n in range(30)
    ]
    http.post(f"/v1/topics/{topic}/records", json={"records": sent}).raise_for_status()
    return topic


def values(ended: Ended) -> list[int]:
    assert ended.status == 0, ended.stderr
    return [int(line.split("\t")[1]) for line in ended.lines]


class TestConsume:
    def test_everything_then_nothing(self, run: Run, filled: str) -> None:
        assert sorted(values(run("consume", filled))) == list(range(30))
        assert values(run("consume", filled, "--offset", "latest")) == []

    def test_one_partition_from_an_offset(self, run: Run, filled: str) -> None:
        flags = ("--partition", "1", "--offset", "8")
        assert values(run("consume", filled, *flags)) == [25, 28]
        assert values(run("consume", filled, "-p", "1", "-o", "-3", "-n", "2")) == [22, 25]
        time = f"ts:{START_MS + 24_000}"
        assert values(run("consume", filled, "-p", "0", "-o", time)) == [24, 27]

    def test_a_group_goes_on_where_it_was(self, run: Run, filled: str) -> None:
        first = values(run("consume", filled, "--group", f"g-{filled}", "--max", "12"))
        rest = values(run("consume", filled, "--group", f"g-{filled}"))
        assert len(first) == 12
        assert sorted(first + rest) == list(range(30))
        assert values(run("consume", filled, "--group", f"g-{filled}")) == []

    def test_a_group_stands_where_it_found_nothing(
        self, run: Run, http: httpx.Client, topic: str
    ) -> None:
        """As Java clients do, it commits that, so that what comes next is seen to be unread."""
        group = f"g-{topic}"
        assert values(run("consume", topic, "--group", group)) == []
        record = {"value": "unread", "partition": 1}
        http.post(f"/v1/topics/{topic}/records", json={"records": [record]}).raise_for_status()
        shown = http.get(f"/v1/groups/{group}").json()
        assert [one["committed_offset"] for one in shown["lag"]] == [0, 0, 0]
        assert [one["lag"] for one in shown["lag"]] == [0, 1, 0]
        assert shown["total_lag"] == 1

    def test_a_member_shares_with_others(self, run: Run, http: httpx.Client, filled: str) -> None:
        group = f"g-{filled}"
        other = HttpMember(http, group, filled)
        theirs: list[int] = []
        with ThreadPoolExecutor(1) as pool:
            command = pool.submit(run, "consume", filled, "--group", group)
            while not command.done():
                theirs += [record["value"] for record in other.poll(max_records=5, wait_ms=200)]
        while records := other.poll():
            theirs += [record["value"] for record in records]
        assert sorted(values(command.result()) + theirs) == list(range(30))
        members = http.get(f"/v1/groups/{group}").json()["members"]
        assert [one["member_id"] for one in members] == [other.member_id]

    def test_as_lines_of_json(self, run: Run, filled: str) -> None:
        ended = run("consume", filled, "--format", "ndjson", "-p", "2", "-n", "1")
        assert json.loads(ended.stdout) == {
            "partition": 2,
            "offset": 0,
            "timestamp": START_MS + 2000,
            "key": "k2",
            "value": 2,
            "headers": {},
        }

    def test_follow_until_enough(self, run: Run, filled: str) -> None:
        assert len(values(run("consume", filled, "--follow", "--max", "30"))) == 30

    @pytest.mark.parametrize(
        ("flags", "status", "said"),
        [
            (("-p", "9"), 1, "has no partition 9"),
            (("-o", "soon"), 1, "offset 'soon' is not a number"),
            (("-o", "\udcff"), 1, "is not text in UTF-8"),
            (("--format", "xml"), 2, "expected text, ndjson or raw"),
            (("--group", "g", "-p", "1"), 2, "a group decides on partitions"),
            (("--group", "g", "-o", "5"), 2, "a group decides on partitions"),
        ],
    )
    def test_bad_input(
        self, run: Run, filled: str, flags: tuple[str, ...], status: int, said: str
    ) -> None:
        ended = run("consume", filled, *flags)
        assert (ended.status, ended.stdout) == (status, "")
        assert said in ended.stderr


class TestReplay:
    def test_in_order_of_time_between_two_times(self, run: Run, filled: str) -> None:
        assert values(run("replay", filled)) == list(range(30))
        begin, end = "2023-11-14T22:13:25Z", str(START_MS + 9000)
        assert values(run("replay", filled, "--from", begin, "--to", end)) == [5, 6, 7, 8]
        assert values(run("replay", filled, "--max", "3")) == [0, 1, 2]

    def test_follow_and_pace(self, run: Run, filled: str) -> None:
        flags = ("--follow", "--speed", "1000x", "--max", "30")
        assert values(run("replay", filled, *flags)) == list(range(30))

    def test_bad_times(self, run: Run, filled: str) -> None:
        ended = run("replay", filled, "--from", "yesterday")
        assert ended.status == 1
        assert "'yesterday' is not a time" in ended.stderr
