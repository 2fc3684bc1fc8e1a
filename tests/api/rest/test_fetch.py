"""Reading over HTTP: positions, bounds, waiting, streams, replay by time, archive pages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tidelog.storage.batches.record_batch import batches, decode_records

START_MS = 1_700_000_000_000


def fill(http: httpx.Client, topic: str, count: int, partition: int = 0, first: int = 0) -> None:
    records = [
        {"key": f"k{n}", "value": n, "partition": partition, "timestamp": START_MS + n * 1000}
        for n in range(first, first + count)
    ]
    for start in range(0, count, 1000):
        body = {"records": records[start : start + 1000]}
        http.post(f"/v1/topics/{topic}/records", json=body).raise_for_status()


def path_of(topic: str, partition: int = 0) -> str:
    return f"/v1/topics/{topic}/partitions/{partition}/records"


def values(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [record["value"] for record in answer.json()["records"]]


@pytest.mark.parametrize(
    ("offset", "first"),
    [
        ("earliest", 0),
        ("0", 0),
        ("17", 17),
        ("-3", 97),
        ("-1000", 0),
        (f"ts:{START_MS + 50_000}", 50),
        (f"ts:{START_MS + 49_001}", 50),
        ("ts:2023-11-14T22:13:30Z", 10),
        ("ts:0", 0),
    ],
)
def test_every_way_to_say_where(http: httpx.Client, single: str, offset: str, first: int) -> None:
    fill(http, single, 100)
    answer = http.get(path_of(single), params={"offset": offset})
    assert values(answer) == list(range(first, 100))
    assert answer.json()["next_offset"] == answer.json()["high_watermark"] == 100


@pytest.mark.parametrize("offset", ["latest", "100", f"ts:{START_MS * 2}"])
def test_nothing_at_the_end(http: httpx.Client, single: str, offset: str) -> None:
    fill(http, single, 100)
    answer = http.get(path_of(single), params={"offset": offset})
    assert values(answer) == []
    assert answer.headers["cache-control"] == "no-store"


def test_pages_join_without_gap_or_overlap(http: httpx.Client, single: str) -> None:
    fill(http, single, 2500)
    got: list[Any] = []
    offset = 0
    while offset < 2500:
        answer = http.get(path_of(single), params={"offset": offset, "max_records": 333})
        got += values(answer)
        offset = answer.json()["next_offset"]
    assert got == list(range(2500))
    again = http.get(path_of(single), params={"offset": 333, "max_records": 333})
    assert values(again) == list(range(333, 666))


def test_max_bytes_bounds_but_one_record_always_fits(http: httpx.Client, single: str) -> None:
    for _ in range(3):
        http.post(f"/v1/topics/{single}/records", json={"records": [{"value": "x" * 5000}]})
    answer = http.get(path_of(single), params={"max_bytes": 1})
    assert len(values(answer)) == 1
    assert answer.json()["next_offset"] == 1
    assert len(values(http.get(path_of(single), params={"max_bytes": 11_000}))) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"offset": "soon"},
        {"offset": "ts:whenever"},
        {"max_records": "0"},
        {"max_records": "10001"},
        {"max_bytes": "-1"},
        {"wait_ms": "60001"},
        {"value": "xml"},
        {"isolation": "serializable"},
        {"reset": "middle", "offset": "999"},
        {"offst": "0"},
    ],
)
def test_bad_parameters(http: httpx.Client, single: str, query: dict[str, str]) -> None:
    answer = http.get(path_of(single), params=query)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] in ("invalid_parameter", "unknown_parameter")


def test_out_of_range(http: httpx.Client, single: str) -> None:
    fill(http, single, 10)
    answer = http.get(path_of(single), params={"offset": 11})
    assert answer.status_code == 416
    details = answer.json()["error"]["details"]
    assert (details["start_offset"], details["end_offset"]) == (0, 10)
    reset = http.get(path_of(single), params={"offset": 11, "reset": "earliest"})
    assert len(values(reset)) == 10
    assert values(http.get(path_of(single), params={"offset": 11, "reset": "latest"})) == []
    assert http.get(path_of(single, 5)).status_code == 404
    assert http.get(path_of("nowhere")).status_code == 404


def test_a_long_poll_is_woken_by_the_append(http: httpx.Client, single: str) -> None:
    timer = threading.Timer(0.2, lambda: fill(http, single, 1))
    timer.start()
    began = time.monotonic()
    answer = http.get(path_of(single), params={"wait_ms": 30_000})
    assert values(answer) == [0]
    assert time.monotonic() - began < 10
    timer.join()
    began = time.monotonic()
    assert values(http.get(path_of(single), params={"wait_ms": 30_000})) == [0]
    assert time.monotonic() - began < 10


def test_a_long_poll_ends_empty_at_its_time_out(http: httpx.Client, single: str) -> None:
    assert values(http.get(path_of(single), params={"wait_ms": 50})) == []


def test_lines_stream_everything(http: httpx.Client, single: str) -> None:
    fill(http, single, 3000)
    answer = http.get(path_of(single), headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["value"] for line in answer.text.splitlines()] == list(range(3000))
    few = http.get(
        path_of(single), params={"max_records": 7}, headers={"Accept": "application/x-ndjson"}
    )
    assert len(few.text.splitlines()) == 7


def test_the_stored_batches_as_they_are(http: httpx.Client, single: str) -> None:
    fill(http, single, 100)
    answer = http.get(path_of(single), headers={"Accept": "application/octet-stream"})
    found = [
        r for at, _ in batches(answer.content) for r in decode_records(answer.content, position=at)
    ]
    assert [record.offset for record in found] == list(range(100))
    assert answer.headers["tidelog-next-offset"] == "100"


def events(response: httpx.Response, count: int) -> list[tuple[str, Any]]:
    """The first ``count`` events: id and data."""
    found: list[tuple[str, Any]] = []
    event_id = ""
    for line in response.iter_lines():
        if line.startswith("id: "):
            event_id = line[4:]
        if line.startswith("data: "):
            found.append((event_id, json.loads(line[6:])))
            if len(found) == count:
                break
    return found


def test_events_tail_and_resume(broker: BrokerProcess, http: httpx.Client, single: str) -> None:
    fill(http, single, 5)
    headers = {"Accept": "text/event-stream"}
    with broker.client() as tail, tail.stream("GET", path_of(single), headers=headers) as response:
        lines = events(response, 5)
    assert [one["value"] for _, one in lines] == [0, 1, 2, 3, 4]
    headers["Last-Event-ID"] = lines[2][0]
    with broker.client() as tail, tail.stream("GET", path_of(single), headers=headers) as response:
        timer = threading.Timer(0.1, lambda: fill(http, single, 2, first=5))
        timer.start()
        assert [one["value"] for _, one in events(response, 4)] == [3, 4, 5, 6]
        timer.join()


def test_events_of_a_whole_topic_resume_exactly(
    broker: BrokerProcess, http: httpx.Client, topic: str
) -> None:
    for partition in range(3):
        fill(http, topic, 10, partition, first=partition * 10)
    headers = {"Accept": "text/event-stream"}
    path = f"/v1/topics/{topic}/records"
    with broker.client() as tail, tail.stream("GET", path, headers=headers) as response:
        lines = events(response, 30)
    assert [one["value"] for _, one in lines] == list(range(30))
    headers["Last-Event-ID"] = lines[16][0]
    with broker.client() as tail, tail.stream("GET", path, headers=headers) as response:
        assert [one["value"] for _, one in events(response, 13)] == list(range(17, 30))


def test_all_partitions_merged_by_time_with_a_cursor(http: httpx.Client, topic: str) -> None:
    for n in range(60):
        fill(http, topic, 1, n % 3, first=n)
    got: list[Any] = []
    cursor = None
    path = f"/v1/topics/{topic}/records"
    for _ in range(20):
        query = {"max_records": 7} if cursor is None else {"max_records": 7, "cursor": cursor}
        answer = http.get(path, params=query)
        got += values(answer)
        repeated = values(http.get(path, params=query))
        assert repeated == values(answer)
        cursor = answer.json()["cursor"]
    assert got == list(range(60))
    fill(http, topic, 1, 0, first=60)
    assert values(http.get(path, params={"cursor": cursor})) == [60]
    bounded = {"from": START_MS + 10_000, "to": START_MS + 20_000}
    assert values(http.get(path, params=bounded)) == list(range(10, 20))
    for bad in ("x", "e30="):
        assert http.get(path, params={"cursor": bad}).status_code == 422
    assert http.get(path, params={"speed": "fast"}).status_code == 422
    assert http.get(path, params={"from": "9", "to": "5"}).status_code == 422


def test_a_replay_keeps_the_pace(http: httpx.Client, single: str) -> None:
    fill(http, single, 5)
    began = time.monotonic()
    answer = http.get(
        f"/v1/topics/{single}/records",
        params={"speed": "20x"},
        headers={"Accept": "application/x-ndjson"},
    )
    took = time.monotonic() - began
    assert len(answer.text.splitlines()) == 5
    assert took >= 4 / 20


def test_archive_pages(http: httpx.Client, single: str) -> None:
    fill(http, single, 2500)
    topic_id = http.get(f"/v1/topics/{single}").json()["id"]
    base = f"/v1/topics/{single}/{topic_id}/partitions/0/pages"
    page = http.get(f"{base}/1")
    assert values(page) == list(range(1000, 2000))
    assert page.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert page.headers["vary"] == "Accept, Accept-Encoding"
    tag = page.headers["etag"]
    assert not tag.startswith("W/")
    unchanged = http.get(f"{base}/1", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    head = http.head(f"{base}/1")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == page.headers["content-length"]
    lines = http.get(f"{base}/1", headers={"Accept": "application/x-ndjson"})
    assert len(lines.text.splitlines()) == 1000
    assert lines.headers["etag"] != tag
    not_yet = http.get(f"{base}/2")
    assert (not_yet.status_code, not_yet.json()["error"]["code"]) == (404, "page_not_ready")
    fetched = http.get(path_of(single), params={"offset": 1500})
    assert f'<{base}/1>; rel="canonical"' in fetched.headers["link"]
    http.delete(path_of(single), params={"before_offset": 1500})
    gone = http.get(f"{base}/1")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "page_gone")
    http.delete(f"/v1/topics/{single}")
    assert http.get(f"{base}/1").status_code == 404


def test_a_page_is_of_one_topic_and_has_one_address(
    http: httpx.Client, single: str, topic: str
) -> None:
    fill(http, single, 1000)
    topic_id = http.get(f"/v1/topics/{single}").json()["id"]
    assert http.get(f"/v1/topics/{single}/{topic_id}/partitions/0/pages/0").status_code == 200
    spellings = [topic_id.upper(), topic_id.replace("-", ""), f"urn:uuid:{topic_id}", "x"]
    for name, spelled in [(topic, topic_id), ("none", topic_id), *((single, s) for s in spellings)]:
        answer = http.get(f"/v1/topics/{name}/{spelled}/partitions/0/pages/0")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_topic_id")
        assert answer.headers["cache-control"] == "no-store"


def test_compacted_topics_have_no_pages(http: httpx.Client) -> None:
    settings = {"cleanup.policy": "compact"}
    made = http.post("/v1/topics", json={"name": "no-pages", "settings": settings}).json()
    answer = http.get(f"/v1/topics/no-pages/{made['id']}/partitions/0/pages/0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_pages")


def test_what_was_written_survives_a_crash_and_a_restart(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1})
        fill(http, "t", 5000)
    broker.kill()
    broker.start()
    with broker.client() as http:
        lines = http.get(path_of("t"), headers={"Accept": "application/x-ndjson"})
        assert [json.loads(line)["value"] for line in lines.text.splitlines()] == list(range(5000))
    broker.restart()
    with broker.client() as http:
        assert values(http.get(path_of("t"), params={"offset": "-2"})) == [4998, 4999]
