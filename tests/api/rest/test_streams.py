"""Streams end: after as many records as are asked for, and with their topic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.broker_process import BrokerProcess

EVENTS = {"Accept": "text/event-stream"}
LINES = {"Accept": "application/x-ndjson"}
PATHS = ["/v1/topics/{}/partitions/0/records", "/v1/topics/{}/records"]


def produce(http: httpx.Client, topic: str, *values: int, **fields: Any) -> None:
    records = [{"value": value, **fields} for value in values]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """What the events of a stream say, each with its ``event`` and ``id``; no comments."""
    event: dict[str, Any] = {}
    for line in lines:
        name, _, content = line.partition(": ")
        if not line and event:
            yield event
            event = {}
        elif name == "data":
            event.update(json.loads(content))
        elif name:
            event[name] = content


def heartbeat(lines: Iterator[str]) -> None:
    """Read up to the next sign of a stream that waits."""
    for line in lines:
        if line.startswith(":"):
            return


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker whose streams show often that they wait."""
    data_dir = tmp_path_factory.mktemp("streams") / "data"
    process = BrokerProcess(data_dir, "--set", "http.heartbeat.interval.ms=20")
    yield process
    process.end()


@pytest.fixture
def client(quick: BrokerProcess) -> Iterator[httpx.Client]:
    with quick.client() as client:
        yield client


_names = itertools.count()


@pytest.fixture
def name(client: httpx.Client) -> str:
    """A new topic of one partition with three records."""
    name = f"stream-{next(_names)}"
    client.post("/v1/topics", json={"name": name, "partitions": 1}).raise_for_status()
    produce(client, name, 0, 1, 2)
    return name


@pytest.mark.parametrize("path", PATHS)
class TestSoManyRecords:
    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_of_those_at_hand(self, client: httpx.Client, name: str, path: str, count: int) -> None:
        query = {"max_records": count}
        with client.stream("GET", path.format(name), params=query, headers=EVENTS) as answer:
            found = [event["value"] for event in events(answer.iter_lines())]
        assert found == list(range(count))
        lines = client.get(path.format(name), params=query, headers=LINES).text.splitlines()
        assert [json.loads(line)["value"] for line in lines] == found

    def test_of_those_that_come(
        self, quick: BrokerProcess, client: httpx.Client, name: str, path: str
    ) -> None:
        query = {"max_records": 5}
        with (
            quick.client() as reader,
            reader.stream("GET", path.format(name), params=query, headers=EVENTS) as answer,
        ):
            lines = answer.iter_lines()
            heartbeat(lines)
            produce(client, name, 3)
            produce(client, name, 4, 5, 6)
            rest = [event["value"] for event in events(lines)]
        assert rest == [3, 4]

    def test_goes_on_where_it_ended(self, client: httpx.Client, name: str, path: str) -> None:
        last: dict[str, str] = {}
        found = []
        for _ in range(3):
            with client.stream(
                "GET", path.format(name), params={"max_records": 1}, headers={**EVENTS, **last}
            ) as answer:
                (event,) = events(answer.iter_lines())
            found.append(event["value"])
            last = {"Last-Event-ID": event["id"]}
        assert found == [0, 1, 2]


@pytest.mark.parametrize("path", PATHS)
class TestDeletedTopics:
    def test_a_stream_that_waits_ends_with_an_error(
        self, quick: BrokerProcess, client: httpx.Client, name: str, path: str
    ) -> None:
        with (
            quick.client() as reader,
            reader.stream("GET", path.format(name), headers=EVENTS) as answer,
        ):
            lines = answer.iter_lines()
            heartbeat(lines)
            client.delete(f"/v1/topics/{name}").raise_for_status()
            again = {"name": name, "partitions": 1}
            client.post("/v1/topics", json=again).raise_for_status()
            produce(client, name, 7, 8, 9)
            (last,) = events(lines)
        assert last["event"] == "error"
        assert last["error"]["code"] == "unknown_topic"
        with client.stream(
            "GET", path.format(name), params={"max_records": 1}, headers=EVENTS
        ) as answer:
            assert [event["value"] for event in events(answer.iter_lines())] == [7]

    def test_a_request_that_waits_is_told(
        self, quick: BrokerProcess, client: httpx.Client, name: str, path: str
    ) -> None:
        address = urlsplit(quick.url)
        waiting = HTTPConnection(str(address.hostname), address.port, timeout=60)
        waiting.request("GET", path.format(name) + "?wait_ms=60000&offset=latest")
        # The broker reads it before what is sent later.
        client.get("/health/live").raise_for_status()
        client.delete(f"/v1/topics/{name}").raise_for_status()
        answer = waiting.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (404, "unknown_topic")
        waiting.close()


def test_a_paced_stream_ends_with_its_topic(
    quick: BrokerProcess, client: httpx.Client, name: str
) -> None:
    """Its next record would come in weeks; until then it shows that it lives."""
    first = client.get(PATHS[0].format(name)).json()["records"][0]
    produce(client, name, 3, timestamp=first["timestamp"] + 1_800_000)
    with (
        quick.client() as reader,
        reader.stream(
            "GET", PATHS[1].format(name), params={"speed": "0.001x"}, headers=EVENTS
        ) as answer,
    ):
        lines = answer.iter_lines()
        found = events(lines)
        assert [next(found)["value"] for _ in range(3)] == [0, 1, 2]
        heartbeat(lines)
        client.delete(f"/v1/topics/{name}").raise_for_status()
        (last,) = found
    assert last["error"]["code"] == "unknown_topic"
