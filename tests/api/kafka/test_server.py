"""Connections of the Kafka protocol, byte by byte: order, limits, idleness, and their end."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import ConnectionClosed, Wire, decode_response, encode_request
from tidelog.storage.batches.record_batch import encode_batch

_ids = struct.Struct(">i")

Start = Callable[..., BrokerProcess]


@pytest.fixture
def wire(broker: BrokerProcess) -> Iterator[Wire]:
    opened = Wire(broker.kafka)
    yield opened
    opened.close()


def api_versions(correlation_id: int, version: int = 4) -> bytes:
    fields = {"client_software_name": "wire", "client_software_version": "1"}
    return encode_request("api_versions", version, fields, correlation_id)


def fetch(topic: str, correlation_id: int, max_wait_ms: int = 60_000, offset: int = 0) -> bytes:
    """Waits until there is a record from ``offset`` on."""
    partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 2**20}
    fields = {
        "max_wait_ms": max_wait_ms,
        "min_bytes": 1,
        "max_bytes": 2**20,
        "topics": [{"topic": topic, "partitions": [partition]}],
    }
    return encode_request("fetch", 11, fields, correlation_id)


def produce(
    topic: str, correlation_id: int, acks: int, value: bytes = b"value", index: int = 0
) -> bytes:
    records = bytes(encode_batch([(1_700_000_000_000, None, value, ())]))
    partition = {"index": index, "records": records}
    topics = [{"name": topic, "partition_data": [partition]}]
    fields = {"acks": acks, "timeout_ms": 30_000, "topic_data": topics}
    return encode_request("produce", 9, fields, correlation_id)


def correlation_id(frame: bytes) -> int:
    (found,) = _ids.unpack_from(frame)
    return int(found)


def assert_closed(wire: Wire) -> None:
    with pytest.raises(ConnectionClosed):
        wire.receive()


def test_answers_come_in_the_order_of_the_requests(
    wire: Wire, broker: BrokerProcess, single: str
) -> None:
    wire.send(fetch(single, 1) + api_versions(2) + fetch(single, 3) + api_versions(4))
    other = Wire(broker.kafka)
    assert other.ask("metadata", 9, topics=[{"name": single}])["topics"][0]["error_code"] == 0
    readable, _, _ = select.select([wire.socket], [], [], 0)
    assert not readable, "an answer has overtaken the first"
    other.send(produce(single, 1, acks=1))
    assert [correlation_id(wire.receive()) for _ in range(4)] == [1, 2, 3, 4]
    other.close()


def commit_and_fetch_offset(group: str, topic: str, offset: int) -> bytes:
    """Two requests in one."""
    partition = {"partition_index": 0, "committed_offset": offset}
    member = {"member_id": "", "generation_id_or_member_epoch": -1}
    topics = [{"name": topic, "partitions": [partition]}]
    commit = encode_request("offset_commit", 5, {"group_id": group, "topics": topics, **member})
    asked = [{"name": topic, "partition_indexes": [0]}]
    return commit + encode_request("offset_fetch", 5, {"group_id": group, "topics": asked})


def test_requests_see_what_those_before_them_committed(wire: Wire, single: str) -> None:
    offsets = [3, 1, 4]
    assert wire.ask("find_coordinator", 1, key="g")["error_code"] == 0
    wire.send(b"".join(commit_and_fetch_offset("g", single, offset) for offset in offsets))
    seen = []
    for _ in offsets:
        wire.receive()
        _, answer = decode_response("offset_fetch", 5, wire.receive())
        seen.append(answer["topics"][0]["partitions"][0]["committed_offset"])
    assert seen == offsets


def test_requests_see_the_topics_that_those_before_them_created(wire: Wire, single: str) -> None:
    name = f"{single}-created"
    topics = [{"name": name, "num_partitions": 1, "replication_factor": 1}]
    create = encode_request("create_topics", 5, {"topics": topics, "timeout_ms": 30_000}, 1)
    delete = encode_request("delete_topics", 4, {"topic_names": [name], "timeout_ms": 30_000}, 3)
    wire.send(create + produce(name, 2, acks=1) + delete + produce(name, 4, acks=1))
    codes = []
    for api, version in (
        ("create_topics", 5),
        ("produce", 9),
        ("delete_topics", 4),
        ("produce", 9),
    ):
        _, answer = decode_response(api, version, wire.receive())
        (one,) = answer.get("topics") or answer["responses"]
        codes.append((one.get("partition_responses") or [one])[0]["error_code"])
    assert codes == [0, 0, 0, 3]


def test_frames_may_be_cut_anywhere(wire: Wire) -> None:
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in api_versions(1) + api_versions(2):
        wire.send(bytes([byte]))
    assert [correlation_id(wire.receive()) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("length", [-1, 0, 7, 100 * 2**20 + 1, 2**31 - 1])
def test_a_frame_of_impossible_length_closes_after_what_came_before(
    wire: Wire, length: int
) -> None:
    wire.send(api_versions(1) + struct.pack(">i", length) + bytes(16))
    assert correlation_id(wire.receive()) == 1
    assert_closed(wire)


def test_an_unknown_version_of_api_versions_gets_the_list(wire: Wire) -> None:
    request = bytearray(api_versions(7))
    request[6:8] = struct.pack(">h", 99)
    wire.send(bytes(request))
    found, answer = decode_response("api_versions", 99, wire.receive())
    assert (found, answer["error_code"]) == (7, 35)
    versions = {one["api_key"]: one["max_version"] for one in answer["api_keys"]}
    assert versions[18] == 4
    wire.send(api_versions(8))
    assert correlation_id(wire.receive()) == 8


@pytest.mark.parametrize(("key", "version"), [(3, 99), (3, -1), (0, 2), (999, 0), (-1, 0)])
def test_what_is_not_served_closes(wire: Wire, key: int, version: int) -> None:
    wire.send(api_versions(1) + struct.pack(">ihhih", 10, key, version, 2, -1))
    assert correlation_id(wire.receive()) == 1
    assert_closed(wire)


def test_acks_0_gets_no_answer(wire: Wire, single: str) -> None:
    wire.send(produce(single, 1, acks=0) + produce(single, 2, acks=0) + fetch(single, 3))
    found, answer = decode_response("fetch", 11, wire.receive())
    assert (found, answer["responses"][0]["partitions"][0]["high_watermark"]) == (3, 2)


def test_a_refusal_at_acks_0_closes(wire: Wire, single: str) -> None:
    wire.send(produce(f"{single}-missing", 1, acks=0))
    assert_closed(wire)


def test_idle_and_half_open_connections_are_closed(start_broker: Start) -> None:
    broker = start_broker("--set", "connections.max.idle.ms=300")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
    idle, half_open, waiting = (Wire(broker.kafka) for _ in range(3))
    waiting.send(fetch("t", 1, max_wait_ms=900))
    half_open.send(api_versions(1)[:10])
    assert_closed(idle)
    assert_closed(half_open)
    assert correlation_id(waiting.receive()) == 1  # it waited for longer than the others may
    assert_closed(waiting)
    for one in (idle, half_open, waiting):
        one.close()


def test_a_client_that_does_not_read_is_dropped(start_broker: Start) -> None:
    broker = start_broker("--set", "connections.max.idle.ms=300")
    deaf = filled(broker, "t")
    deaf.send(b"".join(fetch("t", number) for number in range(200)))
    gone = select.poll()
    gone.register(deaf.socket, 0)
    assert gone.poll(30_000), "the connection is still open"
    deaf.close()


def test_unread_answers_do_not_pile_up(start_broker: Start) -> None:
    # Without a cache each answer has bytes of its own.
    broker = start_broker("--set", "cache.bytes=0")
    slow = filled(broker, "t")
    before = broker.peak_memory_bytes
    slow.send(b"".join(fetch("t", number) for number in range(200)))
    other = Wire(broker.kafka)
    other.ask("metadata", 9, topics=[{"name": "t"}])
    other.close()
    for number in range(200):
        answer = slow.receive()
        assert correlation_id(answer) == number
        assert len(answer) > 900_000
    assert broker.peak_memory_bytes - before < 32 * 2**20
    slow.close()


def test_a_long_answer_comes_whole_and_the_next_request_is_heard(start_broker: Start) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 8}).raise_for_status()
    wire = Wire(broker.kafka)
    values = [os.urandom(900_000) for _ in range(8)]
    for index, value in enumerate(values):
        wire.send(produce("t", 1, acks=1, value=value, index=index))
        wire.receive()
    partitions = [
        {"partition": index, "fetch_offset": 0, "partition_max_bytes": 2**20} for index in range(8)
    ]
    topics = [{"topic": "t", "partitions": partitions}]
    for _ in range(5):
        answer = wire.ask("fetch", 11, max_wait_ms=0, max_bytes=2**25, topics=topics)
        found = [one["records"] for one in answer["responses"][0]["partitions"]]
        assert all(
            value in records and len(records) < 900_100
            for value, records in zip(values, found, strict=True)
        )
    wire.close()


def test_a_client_that_asks_no_more_gets_its_answer(start_broker: Start) -> None:
    broker = start_broker()
    leaving = filled(broker, "t")
    # More than the sockets' buffers take while nobody reads.
    leaving.send(b"".join(fetch("t", number) for number in range(60)))
    leaving.socket.shutdown(socket.SHUT_WR)
    received = b"".join(iter(lambda: leaving.socket.recv(2**20), b""))
    (size,) = _ids.unpack_from(received)
    answers, rest = divmod(len(received), _ids.size + size)
    assert answers
    assert not rest, "an answer was cut off"
    leaving.close()


def filled(broker: BrokerProcess, topic: str) -> Wire:
    """A connection to a broker with a topic of one large record."""
    with broker.client() as http:
        http.post("/v1/topics", json={"name": topic, "partitions": 1}).raise_for_status()
    wire = Wire(broker.kafka)
    wire.send(produce(topic, 1, acks=1, value=os.urandom(1_000_000)))
    assert correlation_id(wire.receive()) == 1
    return wire


def test_connections_are_limited(start_broker: Start) -> None:
    broker = start_broker("--set", "max.connections=2")
    first, second = Wire(broker.kafka), Wire(broker.kafka)
    for one in (first, second):
        one.send(api_versions(1))
        assert correlation_id(one.receive()) == 1
    third = Wire(broker.kafka)
    assert_closed(third)
    first.socket.shutdown(socket.SHUT_WR)
    assert_closed(first)
    fourth = Wire(broker.kafka)
    fourth.send(api_versions(1))
    assert correlation_id(fourth.receive()) == 1
    for one in (first, second, third, fourth):
        one.close()


def test_a_stop_answers_what_is_under_way(start_broker: Start) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
    waiting, other = Wire(broker.kafka), Wire(broker.kafka)
    waiting.send(fetch("t", 1))
    # Answered after the broker has taken the fetch, which was there before.
    other.ask("metadata", 9, topics=[{"name": "t"}])
    broker.process.send_signal(signal.SIGTERM)
    found, answer = decode_response("fetch", 11, waiting.receive())
    (partition,) = answer["responses"][0]["partitions"]
    assert (found, partition["error_code"], partition["records"]) == (1, 0, b"")
    for one in (waiting, other):
        assert_closed(one)
        one.close()
    assert broker.process.wait(30) == 0, broker.stderr
