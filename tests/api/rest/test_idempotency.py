"""Requests with an idempotency key: repeats are answered as the first, others are refused."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess

KEY = {"Idempotency-Key": "order-17"}
_topics = itertools.count()


def send(
    http: httpx.Client, topic: str, *records: dict[str, Any], key: str = "order-17", **headers: str
) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(
        f"/v1/topics/{topic}/records",
        json={"records": records},
        headers={"Idempotency-Key": key, **headers},
    )


def places(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def kept(http: httpx.Client, topic: str) -> list[Any]:
    """What the topic holds, by partition."""
    count = len(http.get(f"/v1/topics/{topic}").json()["partitions"])
    paths = [f"/v1/topics/{topic}/partitions/{index}/records" for index in range(count)]
    return [http.get(path, params={"max_records": 10_000}).json()["records"] for path in paths]


def wait_a_millisecond() -> None:
    """Until the clock shows another time, so that a time of now differs from one of then."""
    before = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= before + 1:
        pass


def test_a_repeat_is_written_once_and_answered_alike(http: httpx.Client, topic: str) -> None:
    records = [{"key": f"k{n}", "value": n} for n in range(50)] + [{"value": "keyless"}]
    first = send(http, topic, *records)
    wait_a_millisecond()
    with ThreadPoolExecutor(4) as pool:
        repeats = list(pool.map(lambda _: send(http, topic, *records), range(4)))
    for repeat in repeats:
        assert repeat.json()["duplicate"] is True
        assert places(repeat) == places(first)
    assert "duplicate" not in first.json()
    assert sum(map(len, kept(http, topic))) == 51
    stored = {
        (p, one["offset"]): one["timestamp"] for p, of in enumerate(kept(http, topic)) for one in of
    }
    for place in places(first):
        assert stored[place["partition"], place["offset"]] == place["timestamp"]


OTHER_REQUESTS = {
    "another value": [{"key": "a", "value": 2}, {"value": "x"}],
    "another key": [{"key": "b", "value": 1}, {"value": "x"}],
    "no key": [{"value": 1}, {"value": "x"}],
    "a key that hashes elsewhere": [{"key": "c", "value": 1}, {"value": "x"}],
    "one more": [{"key": "a", "value": 1}, {"value": "x"}, {"value": "y"}],
    "one less": [{"key": "a", "value": 1}],
    "another order": [{"value": "x"}, {"key": "a", "value": 1}],
    "a header": [{"key": "a", "value": 1, "headers": {"h": "1"}}, {"value": "x"}],
    "a partition": [{"key": "a", "value": 1, "partition": 0}, {"value": "x"}],
    "another partition": [{"key": "a", "value": 1, "partition": 2}, {"value": "x", "partition": 2}],
    "a time": [{"key": "a", "value": 1, "timestamp": 1_700_000_000_000}, {"value": "x"}],
    "other times": [{"key": "a", "value": 1, "timestamp": 5}, {"value": "x", "timestamp": 9}],
    "a tombstone": [{"key": "a", "value": None}, {"value": "x"}],
    "bytes apart": [{"key": "a", "value": 1}, {"value_text": "x"}],
}


@pytest.mark.parametrize("records", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
def test_another_request_with_the_key_is_refused(
    http: httpx.Client, topic: str, records: list[dict[str, Any]]
) -> None:
    original = [{"key": "a", "value": 1}, {"value": "x"}]
    first = send(http, topic, *original)
    before = kept(http, topic)
    answer = send(http, topic, *records)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "idempotency_key_reused")
    assert error["details"] == {"idempotency_key": "order-17"}
    assert "nothing was written" in error["message"]
    assert kept(http, topic) == before
    assert places(send(http, topic, *original)) == places(first)
    assert places(send(http, topic, *records, key="order-18"))


def test_what_is_no_part_of_the_request(http: httpx.Client, topic: str) -> None:
    """Spaces around records, compression, and what the answer is to promise."""
    path = f"/v1/topics/{topic}/records"
    first = send(http, topic, {"key": "a", "value": [1, 2]})
    body = b' { "records" : [ {"value":[1,2], "key" :"\\u0061"} ] }\n'
    kind = {"Content-Type": "application/json"}
    for content, more, query in (
        (body, {}, {}),
        (gzip.compress(body), {"Content-Encoding": "gzip"}, {}),
        (body, {}, {"acks": "1"}),
    ):
        headers = {**KEY, **kind, **more}
        answer = http.post(path, content=content, headers=headers, params=query)
        assert places(answer) == places(first)


def test_bodies_that_are_the_record(http: httpx.Client, topic: str) -> None:
    def post(body: bytes, **query: Any) -> httpx.Response:
        headers = {**KEY, "Content-Type": "text/plain"}
        path = f"/v1/topics/{topic}/records"
        return http.post(path, content=body, params=query, headers=headers)

    first = post(b"tea", key="k")
    wait_a_millisecond()
    assert places(post(b"tea", key="k")) == places(first)
    for answer in (post(b"ink", key="k"), post(b"tea"), post(b"tea", key="k", **{"header.a": "b"})):
        assert answer.json()["error"]["code"] == "idempotency_key_reused"
    assert sum(map(len, kept(http, topic))) == 1


def test_keys_of_other_topics_are_other_keys(http: httpx.Client, topic: str, single: str) -> None:
    assert "duplicate" not in send(http, topic, {"value": 1}).json()
    assert "duplicate" not in send(http, single, {"value": 2}).json()
    assert "duplicate" not in send(http, single, {"value": 2}, key="another").json()


def test_of_many_at_once_one_is_written(http: httpx.Client, topic: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = range(24)
        answers = list(pool.map(lambda n: send(http, topic, {"key": f"{n}", "value": n}), sent))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 23
    assert sum(map(len, kept(http, topic))) == 1


@settings(max_examples=30)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.lists(
                st.fixed_dictionaries(
                    {"value": st.sampled_from([1, None])},
                    optional={
                        "key": st.sampled_from("xyz"),
                        "partition": st.integers(0, 2),
                        "timestamp": st.sampled_from([7, 8]),
                    },
                ),
                min_size=1,
                max_size=3,
            ),
        ),
        max_size=8,
    )
)
def test_the_first_request_of_a_key_decides(
    broker: BrokerProcess, requests: list[tuple[str, list[dict[str, Any]]]]
) -> None:
    with broker.client() as http:
        topic = f"keyed-{next(_topics)}"
        http.post("/v1/topics", json={"name": topic, "partitions": 3}).raise_for_status()
        firsts: dict[str, tuple[Any, Any]] = {}
        for key, records in requests:
            answer = send(http, topic, *records, key=key)
            if key not in firsts:
                firsts[key] = records, places(answer)
                continue
            before, answered = firsts[key]
            if records == before:
                assert places(answer) == answered
            else:
                assert answer.json()["error"]["code"] == "idempotency_key_reused"
        written = sum(len(records) for records, _ in firsts.values())
        assert sum(map(len, kept(http, topic))) == written
        http.delete(f"/v1/topics/{topic}").raise_for_status()


def test_with_an_expected_offset(http: httpx.Client, single: str) -> None:
    first = send(http, single, {"value": 1}, If_Match_Offset="0")
    assert places(send(http, single, {"value": 1}, If_Match_Offset="0")) == places(first)
    late = send(http, single, {"value": 1}, key="another", If_Match_Offset="0")
    assert late.status_code == 409
    answer = send(http, single, {"value": 2}, If_Match_Offset="1")
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


def test_a_topic_whose_times_are_those_of_the_broker(http: httpx.Client) -> None:
    topic = f"keyed-{next(_topics)}"
    setting = {"message.timestamp.type": "LogAppendTime"}
    http.post("/v1/topics", json={"name": topic, "partitions": 1, "settings": setting})
    records = [{"value": 1, "timestamp": 5}, {"value": 2}]
    first = send(http, topic, *records)
    wait_a_millisecond()
    assert places(send(http, topic, *records)) == places(first)
    assert places(first)[0]["timestamp"] > 5


def test_more_partitions_do_not_move_what_is_written(http: httpx.Client) -> None:
    topic = f"keyed-{next(_topics)}"
    http.post("/v1/topics", json={"name": topic, "partitions": 2}).raise_for_status()
    records = [{"key": f"k{n}", "value": n} for n in range(20)] + [{"value": "keyless"}]
    first = send(http, topic, *records)
    http.patch(f"/v1/topics/{topic}", json={"partitions": 7}).raise_for_status()
    assert places(send(http, topic, *records)) == places(first)
    answer = send(http, topic, *records[1:])
    assert answer.json()["error"]["code"] == "idempotency_key_reused"
    assert sum(map(len, kept(http, topic))) == 21
    assert len({one["partition"] for one in places(send(http, topic, *records, key="b"))}) > 2


def test_records_that_have_gone_have_no_time(http: httpx.Client, single: str) -> None:
    records = [{"value": n} for n in range(3)]
    first = places(send(http, single, *records))
    http.delete(f"/v1/topics/{single}/partitions/0/records", params={"before_offset": 2})
    gone = [{**place, "timestamp": None} for place in first[:2]]
    assert places(send(http, single, *records)) == [*gone, first[2]]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_log_remembers(start_broker: Callable[..., BrokerProcess], end: str) -> None:
    """Through an end of the broker, with batches that became several and segments that rolled."""
    broker = start_broker("--set", "message.max.bytes=3000", "--set", "log.roll.ms=1000")
    one = [{"key": "a", "value": 1}]
    many = [{"key": f"k{n}", "value": "x" * 500} for n in range(30)]
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 3}).raise_for_status()
        firsts = [
            places(send(http, "t", *records, key=f"{len(records)}")) for records in (one, many)
        ]
        now_ms = firsts[0][0]["timestamp"]
        for number in range(60):
            filler = {"value": number, "timestamp": now_ms + number * 10_000}
            places(send(http, "t", filler, key=f"filler-{number}"))
        segments = http.get("/v1/topics/t/segments").json()["segments"]
        assert len(segments) > 6
    broker.kill() if end == "kill" else broker.stop()
    broker.start()
    wait_a_millisecond()
    with broker.client() as http:
        for records, first in zip((one, many), firsts, strict=True):
            again = send(http, "t", *records, key=f"{len(records)}")
            assert places(again) == first
            assert again.json()["duplicate"] is True
            other = send(http, "t", {"key": "b", "value": 1}, key=f"{len(records)}")
            assert other.json()["error"]["code"] == "idempotency_key_reused"
        assert sum(map(len, kept(http, "t"))) == 91


def test_a_request_of_which_a_part_is_there_is_completed(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    """As after a crash between its batches: the later half of its partition's log is cut off."""
    broker = start_broker("--set", "message.max.bytes=3000")
    records = [{"value": f"{n}" + "x" * 500} for n in range(12)]
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
        first = places(send(http, "t", *records))
    broker.kill()
    log = broker.data_dir / "t-0" / "00000000000000000000.log"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    broker.start()
    with broker.client() as http:
        there = len(kept(http, "t")[0])
        assert 0 < there < 12
        wait_a_millisecond()
        again = send(http, "t", *records, If_Match_Offset="0")
        assert places(again)[:there] == first[:there]
        values = [record["value"] for record in kept(http, "t")[0]]
        assert values == [record["value"] for record in records]
        assert places(send(http, "t", *records)) == places(again)


def test_sequences_of_a_producer_are_answered_with_their_times(
    http: httpx.Client, single: str
) -> None:
    producer = http.post("/v1/producers").json()
    headers = {
        "Producer-Id": str(producer["producer_id"]),
        "Producer-Epoch": "0",
        "Producer-Sequence": "2147483647",
    }
    path, body = f"/v1/topics/{single}/records", {"records": [{"value": 1}, {"value": 2}]}
    first = http.post(path, json=body, headers={**headers, "If-Match-Offset": "0"})
    wait_a_millisecond()
    again = http.post(path, json=body, headers={**headers, "If-Match-Offset": "0"})
    assert places(again) == places(first)
    assert again.json()["duplicate"] is True


def test_lines_cannot_have_a_key(http: httpx.Client, single: str) -> None:
    headers = {**KEY, "Content-Type": "application/x-ndjson"}
    answer = http.post(f"/v1/topics/{single}/records", content=b'{"value":1}\n', headers=headers)
    assert answer.status_code == 422
    assert kept(http, single) == [[]]


@pytest.mark.parametrize(
    "other",
    [
        {"topics": ["OTHER"]},
        {"topics": ["TOPIC", "OTHER"]},
        {"topics": ["TOPIC"], "session_timeout_ms": 10_000},
        {"topics": ["TOPIC"], "instance_id": "i"},
    ],
    ids=json.dumps,
)
def test_joins_are_known_too(
    http: httpx.Client, topic: str, single: str, other: dict[str, Any]
) -> None:
    path = f"/v1/groups/group-of-{topic}/members"
    first = http.post(path, json={"topics": [topic]}, headers=KEY).json()
    names = {"TOPIC": topic, "OTHER": single}
    asked = {**other, "topics": [names[name] for name in other["topics"]]}
    answer = http.post(path, json=asked, headers=KEY)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "idempotency_key_reused")
    assert error["details"]["member"] == first["member_id"]
    again = http.post(path, json={"topics": [topic, topic]}, headers=KEY).json()
    assert again["member_id"] == first["member_id"]
    assert http.post(path, json=asked, headers={"Idempotency-Key": "b"}).status_code == 201
