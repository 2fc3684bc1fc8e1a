"""``tidelog copy``: topic to topic, broker to broker; begun again as often as it takes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.holding_proxy import HoldingProxy
from tests.support.written_topics import WrittenTopics

TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")
START_MS = 1_700_000_000_000
ODD: list[dict[str, Any]] = [
    {"key": "k", "value_text": "1.10", "headers": {"a": "b"}},
    {"key": "k", "value": None, "headers": {}},
    {
        "value_base64": "/f4=",
        "headers": [{"name": "n", "value": None}, {"name": "n", "value": "2"}],
    },
    {"key_base64": "/w==", "value_text": "null", "headers": {}},
    {"key": "", "value_text": "", "headers": [{"name_base64": "/w==", "value_base64": "/w=="}]},
]


def all_records(http: httpx.Client, topic: str) -> list[list[dict[str, Any]]]:
    """By partition, with values in base64 and without their offsets."""
    count = len(http.get(f"/v1/topics/{topic}").json()["partitions"])
    found = []
    for partition in range(count):
        path = f"/v1/topics/{topic}/partitions/{partition}/records"
        answer = http.get(path, params={"value": "base64", "max_records": 10_000}).json()
        found.append([{**one, "offset": None} for one in answer["records"]])
    return found


def numbered(first: int, end: int, **more: Any) -> list[dict[str, Any]]:
    return [{"value": n, "timestamp": START_MS + n, **more} for n in range(first, end)]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    broker = BrokerProcess(tmp_path_factory.mktemp("elsewhere") / "data")
    yield broker
    broker.end()


@pytest.fixture
def source(topics: WrittenTopics) -> str:
    """Three partitions, every kind of record in each."""
    topic = topics.new(partitions=3)
    sent = [
        {**one, "partition": partition, "timestamp": START_MS + number}
        for partition in range(3)
        for number, one in enumerate(ODD)
    ]
    topics.write(topic, sent)
    return topic


class TestWhatIsCopied:
    def test_a_topic_that_is_made(
        self, topics: WrittenTopics, http: httpx.Client, source: str
    ) -> None:
        settings = {"settings": {"retention.ms": "-1", "max.message.bytes": "5000"}}
        http.patch(f"/v1/topics/{source}", json=settings).raise_for_status()
        ended = topics.run("copy", source, f"{source}-copy")
        assert ended.stdout == b""
        assert ended.stderr == f"topic {source}-copy with 3 partitions\n15 records copied\n"
        assert all_records(http, f"{source}-copy") == all_records(http, source)
        made = http.get(f"/v1/topics/{source}-copy").json()["settings"]
        own = {one["name"]: one["value"] for one in made if one["source"] == "topic"}
        assert own == settings["settings"]

    def test_to_another_broker(
        self, topics: WrittenTopics, http: httpx.Client, source: str, elsewhere: BrokerProcess
    ) -> None:
        topics.run("copy", source, source, "--to-server", elsewhere.url)
        with elsewhere.client() as there:
            assert all_records(there, source) == all_records(http, source)

    def test_by_key(self, topics: WrittenTopics, http: httpx.Client) -> None:
        first, second = topics.new(partitions=3), topics.new(partitions=2)
        sent = [{"key": f"k{n}", "value": n, "partition": n % 3} for n in range(60)]
        topics.write(first, sent)
        said = topics.run("copy", first, second, status=1).stderr
        assert f"{first} has 3 partitions and {second} has 2; --repartition" in said
        topics.run("copy", first, second, "--repartition")
        third = topics.new(partitions=2)
        topics.write(third, [{"key": one["key"], "value": one["value"]} for one in sent])

        def keys(topic: str) -> list[list[str]]:
            return [sorted(one["key"] for one in part) for part in all_records(http, topic)]

        assert keys(second) == keys(third)

    @pytest.mark.parametrize(
        ("flags", "copied"),
        [
            (("-o", "3", "--until", "6"), [3, 4, 5]),
            (("--until", f"ts:{START_MS + 2}"), [0, 1]),
            (("-o", "-2"), [8, 9]),
            (("--match-value", "[135]"), [1, 3, 5]),
            (("--match-key", "none"), []),
        ],
    )
    def test_a_part(self, topics: WrittenTopics, flags: tuple[str, ...], copied: list[int]) -> None:
        first, second = topics.new(), topics.new()
        topics.write(first, numbered(0, 10, key="k"))
        said = topics.run("copy", first, second, *flags).stderr
        assert said == f"{len(copied)} records copied\n"
        assert topics.values(second) == [b"%d" % n for n in copied]


class TestAgain:
    def test_only_what_is_new(self, topics: WrittenTopics, http: httpx.Client) -> None:
        first, second = topics.new(), topics.new()
        for end in (10, 25, 25):
            topics.write(first, numbered(topics.end(first), end) or [{"value": 25}])
            topics.run("copy", first, second)
        assert topics.values(second) == topics.values(first)
        assert topics.run("copy", first, second).stderr == "0 records copied\n"
        groups = http.get("/v1/groups").json()["groups"]
        [group] = [one["group"] for one in groups if first in one["group"]]
        assert http.get(f"/v1/groups/{group}").json()["total_lag"] == 0

    def test_what_is_copied_otherwise_is_another_copy(self, topics: WrittenTopics) -> None:
        first, second = topics.new(), topics.new()
        topics.write(first, numbered(0, 3))
        topics.run("copy", first, second, "--match-value", "1")
        topics.run("copy", first, second)
        assert topics.values(second) == [b"1", b"0", b"1", b"2"]
        topics.run("copy", first, second, "--group", f"named-{first}")
        assert topics.end(second) == 7

    @pytest.mark.parametrize(
        "held", ["PUT /v1/groups/", "POST /v1/topics/TARGET/records", "GET /v1/topics/SOURCE/p"]
    )
    def test_after_it_was_killed(
        self, broker: BrokerProcess, topics: WrittenTopics, held: str
    ) -> None:
        """Wherever that is; what was written since then makes the page that it was at longer."""
        first, second = topics.new(), topics.new()
        topics.write(first, numbered(0, 10))
        held = held.replace("TARGET", second).replace("SOURCE", first)
        with HoldingProxy(broker.url, held=held) as proxy:
            words = [*TIDELOG, "copy", first, second, "--server", proxy.url]
            with subprocess.Popen(words, stderr=subprocess.PIPE, env=environment()) as process:
                assert proxy.came.wait(60)
                process.kill()
        topics.write(first, numbered(10, 2500))
        topics.run("copy", first, second)
        assert topics.values(second) == [b"%d" % n for n in range(2500)]

    def test_a_signal_tells_how_many(self, broker: BrokerProcess, topics: WrittenTopics) -> None:
        first, second = topics.new(), topics.new()
        topics.write(first, numbered(0, 10))
        with HoldingProxy(broker.url) as proxy:
            words = [*TIDELOG, "copy", first, second, "--follow", "--server", proxy.url]
            with subprocess.Popen(words, stderr=subprocess.PIPE, env=environment()) as process:
                proxy.wait_for("PUT ", times=2)
                topics.write(first, numbered(10, 12))
                proxy.wait_for("PUT ", times=4)
                process.send_signal(signal.SIGTERM)
                assert process.stderr is not None
                said = process.stderr.read()
        assert (process.returncode, said) == (143, b"tidelog: terminated; 12 records copied\n")
        assert topics.values(second) == topics.values(first)

    def test_where_records_have_gone_since(self, topics: WrittenTopics, http: httpx.Client) -> None:
        first, second = topics.new(), topics.new()
        topics.write(first, numbered(0, 4))
        topics.run("copy", first, second)
        topics.write(first, numbered(4, 10))
        query = {"before_offset": 6}
        http.delete(f"/v1/topics/{first}/partitions/0/records", params=query).raise_for_status()
        topics.run("copy", first, second)
        assert topics.values(second) == [b"%d" % n for n in (0, 1, 2, 3, 6, 7, 8, 9)]


def test_records_that_the_target_refuses(topics: WrittenTopics, http: httpx.Client) -> None:
    """All before the one that is to blame is written; what is too much at once goes in parts."""
    first, second = topics.new(), topics.new()
    settings = {"settings": {"max.message.bytes": "2000"}}
    http.patch(f"/v1/topics/{second}", json=settings).raise_for_status()
    topics.write(first, [{"value_text": "x" * 500} for _ in range(100)])
    topics.write(first, [{"value_text": "x" * 5000}, {"value_text": "y"}])
    ended = topics.run("copy", first, second, status=1)
    assert re.fullmatch(
        rf"tidelog: offset 100 of {first}-0 is refused: .*; 100 records copied\n", ended.stderr
    )
    assert topics.values(second) == [b"x" * 500] * 100
    raised = {"settings": {"max.message.bytes": "20000"}}
    http.patch(f"/v1/topics/{second}", json=raised).raise_for_status()
    assert topics.run("copy", first, second).stderr == "2 records copied\n"
    assert topics.values(second) == topics.values(first)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("SOURCE", "SOURCE"), 2, "a topic is not copied to itself"),
        (("nowhere", "SOURCE"), 1, "there is no topic 'nowhere'"),
        (("SOURCE", "b", "--to-token", "t"), 2, "--to-token goes with --to-server"),
        (("SOURCE", "b", "--to-server", "http://127.0.0.1:1"), 1, "no broker answers at"),
        (("SOURCE", "b", "--until", "soon"), 2, "--until: 'soon' is not"),
    ],
)
def test_used_wrongly(
    topics: WrittenTopics, source: str, words: tuple[str, ...], status: int, said: str
) -> None:
    named = (source if word == "SOURCE" else word for word in words)
    ended = topics.run("copy", *named, status=status)
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_token_goes_to_its_own_broker_only(start_broker: Callable[..., BrokerProcess]) -> None:
    """What is said in the environment is of the broker that is read."""
    requests: list[bytes] = []
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
    with HoldingProxy(broker.url, requests=requests) as proxy:
        words = [*TIDELOG, "copy", "t", "u", "--to-server", proxy.url]
        variables = {"TIDELOG_SERVER": broker.url, "TIDELOG_TOKEN": "secret"}
        subprocess.run(words, env=environment(variables), check=True, timeout=60)
    assert requests
    assert not any(b"secret" in one for one in requests)
