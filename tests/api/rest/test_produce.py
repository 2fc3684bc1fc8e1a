"""Producing over HTTP: every form of body, and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import zstandard

from tests.support.broker_process import BrokerProcess

MARK = b"\xef\xbb\xbf"


def produce(http: httpx.Client, topic: str, *records: dict[str, Any], **query: Any) -> Any:
    answer = http.post(f"/v1/topics/{topic}/records", json={"records": records}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fetch(http: httpx.Client, topic: str, partition: int = 0, **query: Any) -> list[Any]:
    path = f"/v1/topics/{topic}/partitions/{partition}/records"
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def test_each_form_of_value_and_key_comes_back_as_it_was_sent(
    http: httpx.Client, single: str
) -> None:
    binary = base64.b64encode(b"\xff\x00").decode()
    sent: list[dict[str, Any]] = [
        {"key": "text", "value": {"a": [1, 2.5, None, True, "ü"]}},
        {"key": 'quoted "text"', "value": "a string"},
        {"value": 0},
        {"key": "k", "value": None},
        {"value_text": "not json"},
        {"value_base64": binary},
        {"key_base64": binary, "value": []},
        {"headers": {"trace": "abc", "empty": ""}, "value": 1},
        {"headers": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}], "value": 1},
        {"headers": [{"name": "b", "value_base64": binary}], "value": 1},
        {"headers": [{"name": "c"}], "value": 1},
        {"headers": [{"name_base64": binary, "value": "1"}, {"name": "d", "value": ""}]},
        {"headers": [{"name_base64": binary}], "value": 1},
        {"headers": [{"name_base64": "ZQ==", "value": "a name that is UTF-8"}], "value": 1},
    ]
    answer = produce(http, single, *sent)
    assert [one["offset"] for one in answer["records"]] == list(range(len(sent)))
    got = fetch(http, single)
    for before, after in zip(sent, got, strict=True):
        for name in ("value", "value_text", "value_base64", "key", "key_base64"):
            if name in before:
                assert after[name] == before[name]
    assert got[7]["headers"] == {"trace": "abc", "empty": ""}
    assert got[8]["headers"] == [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]
    assert got[9]["headers"] == [{"name": "b", "value_base64": binary}]
    assert got[10]["headers"] == [{"name": "c", "value": None}]
    assert got[11]["headers"] == sent[11]["headers"]
    assert got[12]["headers"] == [{"name_base64": binary, "value": None}]
    assert got[13]["headers"] == {"e": "a name that is UTF-8"}
    assert got[3]["value"] is None


def test_a_value_is_stored_as_its_bytes_were_sent(http: httpx.Client, single: str) -> None:
    body = b'{"records":[{"value": {"b":1,  "a":1.0}}]}'
    http.post(
        f"/v1/topics/{single}/records", content=body, headers={"Content-Type": "application/json"}
    )
    path = f"/v1/topics/{single}/partitions/0/records"
    assert b'"value":{"b":1,  "a":1.0}' in http.get(path).content
    assert fetch(http, single, value="text")[0]["value_text"] == '{"b":1,  "a":1.0}'
    shown = fetch(http, single, value="base64")[0]["value_base64"]
    assert base64.b64decode(shown) == b'{"b":1,  "a":1.0}'


@pytest.mark.parametrize("neighbour", ["1 ", "\t2", "not JSON", "null", " null ", "[1,\n2]", ""])
def test_a_value_is_shown_as_it_is_whatever_stands_beside_it(
    http: httpx.Client, single: str, neighbour: str
) -> None:
    value = '{"b":1,  "a":1.0, "big":1e400}'
    produce(http, single, {"value_text": value}, {"value_text": neighbour})
    path = f"/v1/topics/{single}/partitions/0/records"
    for accept in ("application/json", "application/x-ndjson"):
        page = http.get(path, headers={"Accept": accept}).text
        assert f'"value":{value}' in page
    (text,) = fetch(http, single, offset=1, value="text")
    assert text["value_text"] == neighbour


@pytest.mark.parametrize("word", ["null", " null", "null\r\n"])
def test_the_word_null_is_no_tombstone(http: httpx.Client, single: str, word: str) -> None:
    produce(http, single, {"value_text": word}, {"value": None})
    shown, tombstone = fetch(http, single)
    assert shown["value_text"] == word
    assert tombstone["value"] is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"value": 1, "value_text": "x"}, "one of value"),
        ({"key": "a", "key_base64": "YQ=="}, "one of key"),
        ({"value_base64": "not base64!"}, "not base64"),
        ({"value": 1, "timestamp": -5}, "timestamp"),
        ({"value": 1, "timestamp": "soon"}, "timestamp"),
        ({"value": 1, "partition": 99}, "partitions 0 to 0"),
        ({"value": 1, "partition": -1}, "partition"),
        ({"valeu": 1}, "valeu"),
        ({"value": 1, "headers": {"a": 1}}, "headers"),
        ({"value": 1, "headers": [{"value": "no name"}]}, "name"),
        ({"value": 1, "headers": [{"name": "a", "name_base64": "YQ=="}]}, "name"),
        ({"value": 1, "headers": [{"name_base64": "not base64!"}]}, "not base64"),
        ("text", "object"),
    ],
)
def test_one_bad_record_and_nothing_is_written(
    http: httpx.Client, single: str, record: Any, reason: str
) -> None:
    body = {"records": [{"value": 1}, record, {"value": 2}]}
    answer = http.post(f"/v1/topics/{single}/records", json=body)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_record"
    assert error["details"]["records"][0]["index"] == 1
    assert reason in error["details"]["records"][0]["reason"]
    assert fetch(http, single) == []


def test_every_bad_record_is_named(http: httpx.Client, single: str) -> None:
    body = {"records": [{"a": 1}, {"value": 1}, {"value": 1, "value_text": ""}]}
    error = http.post(f"/v1/topics/{single}/records", json=body).json()["error"]
    assert [one["index"] for one in error["details"]["records"]] == [0, 2]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b'{"records":[{"value":"\xff"}]}', 400, "invalid_json"),
        (b"[]", 422, "invalid_body"),
        (b"{}", 422, "invalid_body"),
        (b'{"records":[]}', 422, "no_records"),
        (b'{"records":[{"value":1}],"more":1}', 422, "invalid_body"),
        (b"[" * 100_000, 422, "invalid_body"),
    ],
)
def test_bodies_that_are_none(
    http: httpx.Client, single: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post(f"/v1/topics/{single}/records", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


BODIES = [
    ("application/json", b'{"records": [{"value": 1}]}'),
    ("application/x-ndjson", b'{"value": 1}\n'),
    ("text/plain", b"1"),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
class TestATopicThatIsNotThere:
    def post(self, http: httpx.Client, name: str, kind: str, body: bytes) -> httpx.Response:
        path = f"/v1/topics/{name}/records"
        return http.post(path, content=body, headers={"Content-Type": kind})

    def test_it_is_made(self, http: httpx.Client, single: str, kind: str, body: bytes) -> None:
        """As for Kafka clients, with as many partitions as the settings say."""
        assert self.post(http, f"{single}-made", kind, body).status_code == 200
        made = http.get(f"/v1/topics/{single}-made").json()
        assert [one["end_offset"] for one in made["partitions"]] == [1]
        assert self.post(http, f"{single}-made", kind, body).status_code == 200

    def test_not_where_the_setting_says_so(
        self, start_broker: Callable[..., BrokerProcess], kind: str, body: bytes
    ) -> None:
        broker = start_broker("--set", "auto.create.topics.enable=false")
        with broker.client() as http:
            answer = self.post(http, "nowhere", kind, body)
            assert answer.status_code == 404
            assert "POST /v1/topics" in answer.json()["error"]["message"]
            assert http.get("/v1/topics").json()["topics"] == []

    def test_not_by_a_request_that_cannot_be_read(
        self, http: httpx.Client, single: str, kind: str, body: bytes
    ) -> None:
        for query, headers in (
            ("acks=2", {"Content-Type": kind}),
            ("", {"Content-Type": kind, "If-Match-Offset": "x"}),
            ("", {"Content-Type": "application/xml"}),
            ("", {"Content-Type": "application/json"}),
        ):
            path = f"/v1/topics/{single}-not/records?{query}"
            assert http.post(path, content=b"{", headers=headers).status_code in (400, 415, 422)
        assert http.get(f"/v1/topics/{single}-not").status_code == 404

    def test_not_by_a_name_that_is_none(self, http: httpx.Client, kind: str, body: bytes) -> None:
        answer = self.post(http, "a%20b", kind, body)
        assert answer.json()["error"]["message"] == "there is no topic 'a b'"
        assert answer.status_code == 404
        assert self.post(http, "__consumer_offsets", kind, body).status_code in (403, 404)


def test_a_topic_is_made_once(http: httpx.Client, single: str) -> None:
    body = {"records": [{"value": 1}]}
    with ThreadPoolExecutor(8) as pool:
        path = f"/v1/topics/{single}-once/records"
        answers = list(pool.map(lambda _: http.post(path, json=body).status_code, range(16)))
    assert answers == [200] * 16
    (partition,) = http.get(f"/v1/topics/{single}-once").json()["partitions"]
    assert partition["end_offset"] == 16


def test_the_same_key_goes_to_the_same_partition_in_order(http: httpx.Client, topic: str) -> None:
    records = [{"key": f"user-{n % 11}", "value": n} for n in range(770)]
    answer = produce(http, topic, *records)
    places: dict[str, int] = {}
    for record, place in zip(records, answer["records"], strict=True):
        assert places.setdefault(str(record["key"]), place["partition"]) == place["partition"]
    assert len(set(places.values())) == 3
    for partition in range(3):
        got = fetch(http, topic, partition, max_records=1000)
        mine = [r for r in records if places[str(r["key"])] == partition]
        assert [r["value"] for r in got] == [r["value"] for r in mine]


def test_keyless_records_of_a_request_stay_together_and_requests_take_turns(
    http: httpx.Client, topic: str
) -> None:
    used = [
        {one["partition"] for one in produce(http, topic, {"value": 1}, {"value": 2})["records"]}
        for _ in range(6)
    ]
    assert all(len(partitions) == 1 for partitions in used)
    assert set.union(*used) == {0, 1, 2}


@pytest.mark.parametrize("acks", ["0", "1", "all", "-1"])
def test_every_kind_of_acknowledgement(http: httpx.Client, single: str, acks: str) -> None:
    assert produce(http, single, {"value": 1}, acks=acks)["records"][0]["offset"] == 0


def test_bad_parameters(http: httpx.Client, single: str) -> None:
    path = f"/v1/topics/{single}/records"
    for query in ({"acks": "2"}, {"ack": "all"}):
        answer = http.post(path, json={"records": [{"value": 1}]}, params=query)
        assert answer.status_code == 422
    answer = http.post(path, content=b"x", headers={"Content-Type": "application/xml"})
    assert answer.status_code == 415


def test_a_record_as_the_body(http: httpx.Client, single: str) -> None:
    answer = http.post(
        f"/v1/topics/{single}/records",
        params={"key": "k", "header.trace": "t", "partition": 0, "timestamp": 5},
        content=b"\x00\xffraw",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 200
    (record,) = fetch(http, single)
    assert base64.b64decode(record["value_base64"]) == b"\x00\xffraw"
    assert (record["key"], record["headers"], record["timestamp"]) == ("k", {"trace": "t"}, 5)
    http.post(
        f"/v1/topics/{single}/records", content="plain", headers={"Content-Type": "text/plain"}
    )
    assert fetch(http, single, offset=1)[0]["value_text"] == "plain"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies(http: httpx.Client, single: str, encoding: str) -> None:
    plain = json.dumps({"records": [{"value": n} for n in range(100)]}).encode()
    packed = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    path = f"/v1/topics/{single}/records"
    assert http.post(path, content=packed, headers=headers).status_code == 200
    assert len(fetch(http, single)) == 100
    assert http.post(path, content=b"garbage", headers=headers).status_code == 400
    headers["Content-Encoding"] = "br"
    assert http.post(path, content=plain, headers=headers).status_code == 415


def test_limits_of_size(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--set", "http.max.body.bytes=100000", "--set", "message.max.bytes=20000")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1})
        path = "/v1/topics/t/records"
        many = {"records": [{"value": "x" * 5000}] * 15}
        assert http.post(path, json=many).status_code == 200
        answer = http.post(path, json={"records": [{"value": 1}, {"value": "x" * 30_000}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "record_too_large")
        answer = http.post(path, json={"records": [{"value": "x" * 200_000}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        bomb = gzip.compress(b'{"records":[{"value":"' + b"x" * 10_000_000 + b'"}]}')
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert http.post(path, content=bomb, headers=headers).status_code == 413
        assert http.get("/v1/topics/t").json()["partitions"][0]["end_offset"] == 15


def test_lines_are_answered_one_by_one(http: httpx.Client, single: str) -> None:
    lines = b"".join(b'{"value":%d}\n' % n for n in range(3000))
    headers = {"Content-Type": "application/x-ndjson"}
    answer = http.post(f"/v1/topics/{single}/records", content=lines, headers=headers)
    assert answer.headers["content-type"] == "application/x-ndjson"
    offsets = [json.loads(line)["offset"] for line in answer.text.splitlines()]
    assert offsets == list(range(3000))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"records":[{"value":1},{"value":2}]}'),
        ("application/json", b'{"records":[{"value":1},{"value_text":"2"}]}'),
        ("application/x-ndjson", b'{"value":1}\n{"value":2}\n'),
    ],
)
def test_a_byte_order_mark_before_json(
    http: httpx.Client, single: str, kind: str, body: bytes
) -> None:
    """It is taken as the calls of administration take it; a second one is none."""
    path, headers = f"/v1/topics/{single}/records", {"Content-Type": kind}
    assert http.post(path, content=MARK + body, headers=headers).status_code == 200
    assert [one["value"] for one in fetch(http, single)] == [1, 2]
    assert http.post(path, content=MARK * 2 + body, headers=headers).status_code in (400, 422)
    assert len(fetch(http, single)) == 2


def test_a_bad_line_ends_the_stream_and_says_its_number(http: httpx.Client, single: str) -> None:
    def body() -> Any:
        yield b'{"value":1}\n\n{"val'
        yield b'ue":2}\n{"bad":3}\n{"value":4}\n'

    headers = {"Content-Type": "application/x-ndjson"}
    answer = http.post(f"/v1/topics/{single}/records", content=body(), headers=headers)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["offset"] for line in lines[:-1]] == [0, 1]
    assert lines[-1]["error"]["details"]["line"] == 4
    assert [record["value"] for record in fetch(http, single)] == [1, 2]


def test_a_stream_of_batches_with_sequences(http: httpx.Client, single: str) -> None:
    producer = http.post("/v1/producers").json()
    path = f"/v1/topics/{single}/records"

    def send(sequence: int, count: int) -> httpx.Response:
        headers = {
            "Producer-Id": str(producer["producer_id"]),
            "Producer-Epoch": str(producer["producer_epoch"]),
            "Producer-Sequence": str(sequence),
        }
        records = [{"value": sequence + n} for n in range(count)]
        return http.post(path, json={"records": records}, headers=headers)

    assert send(0, 3).json()["records"][0]["offset"] == 0
    assert send(3, 2).json()["records"][0]["offset"] == 3
    repeated = send(0, 3).json()
    assert repeated["duplicate"] is True
    gap = send(9, 1)
    assert (gap.status_code, gap.json()["error"]["code"]) == (409, "out_of_order_sequence")
    assert gap.json()["error"]["details"]["expected"] == 5
    assert [record["value"] for record in fetch(http, single)] == [0, 1, 2, 3, 4]
    answer = http.post(path, json={"records": [{"value": 1}]}, headers={"Producer-Id": "1"})
    assert answer.status_code == 422


def test_optimistic_concurrency(http: httpx.Client, single: str) -> None:
    path = f"/v1/topics/{single}/records"
    body = {"records": [{"value": "event"}]}
    assert http.post(path, json=body, headers={"If-Match-Offset": "0"}).status_code == 200
    late = http.post(path, json=body, headers={"If-Match-Offset": "0"})
    assert late.status_code == 409
    assert late.json()["error"]["details"]["actual"] == 1
    assert http.post(path, json=body, headers={"If-Match-Offset": "1"}).status_code == 200
    assert http.post(path, json=body, headers={"If-Match-Offset": "x"}).status_code == 422
    with ThreadPoolExecutor(8) as pool:
        headers = {"If-Match-Offset": "2"}
        answers = list(pool.map(lambda _: http.post(path, json=body, headers=headers), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


def test_a_compacted_topic_wants_keys(http: httpx.Client) -> None:
    settings = {"cleanup.policy": "compact"}
    http.post("/v1/topics", json={"name": "compacted", "partitions": 1, "settings": settings})
    path = "/v1/topics/compacted/records"
    answer = http.post(path, json={"records": [{"key": "a", "value": 1}, {"value": 2}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_record")
    assert http.post(path, json={"records": [{"key": "a", "value": 1}]}).status_code == 200
