"""Bytes that no client would send: the broker lives, its answers are framed, its memory bounded.

Frames go to a broker process over a socket. Whatever comes back must be whole frames with the
requests' correlation ids, which kafka-python can read to their last byte; all else is a closed
connection. Examples are derived from the tests, so every run is the same.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import (
    ConnectionClosed,
    Wire,
    decode_response,
    encode_request,
    has_messages,
)
from tests.support.sample_messages import sample_message
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.handlers.produce import read_request
from tidelog.api.kafka.wire.apis import Api, request_reader
from tidelog.api.kafka.wire.decoding import request_decoder
from tidelog.api.kafka.wire.framing import (
    ELEMENTS_MAX,
    LENGTH_SIZE,
    ProtocolError,
    read_header,
    skip_tags,
)

_GROWTH_MAX_BYTES = 64 * 2**20
_FRAME_MAX_BYTES = 100 * 2**20
_PRODUCE = APIS[0]
_PROBE_ID = 0x7EAD
_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_KNOWN = [api for api in APIS.values() if has_messages(api.name)]
_VERSIONS = [
    (api, version) for api in _KNOWN for version in range(api.min_version, api.max_version + 1)
]
_COMPACT_LIE = b"\xff\xff\xff\xff\x0f"
_LIES = (_COMPACT_LIE, struct.pack(">i", 2**31 - 1))
"""Counts that are too large, as a varint and as four bytes."""

derived = settings(max_examples=200, derandomize=True, deadline=None, database=None)
kinds = st.sampled_from(_VERSIONS)
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path_factory.mktemp("fuzz") / "data")
    yield process
    process.end()


@pytest.fixture(scope="module", autouse=True)
def bounded_memory(target: BrokerProcess) -> Iterator[None]:
    """At no time during all tests does the broker need much more than after its first requests."""
    for api, version in _VERSIONS:
        exchange(target, sample_frame(api, version, seed=0), api, version)
    before = target.memory_bytes
    yield
    grown = target.peak_memory_bytes - before
    assert grown < _GROWTH_MAX_BYTES, f"the broker has grown by {grown} bytes"


def sample_frame(api: Api, version: int, seed: int) -> bytes:
    message = sample_message(api.name, "request", version, Random(f"{api.name} {version} {seed}"))
    return encode_request(api.name, version, message)


def exchange(target: BrokerProcess, frame: bytes, api: Api, version: int) -> bool:
    """Send a whole frame and a request that is sound; whether both were answered.

    The answer, if there is one, must be what kafka-python takes for one; all else has to be a
    closed connection.
    """
    wire = Wire(target.kafka)
    probe = encode_request("api_versions", 0, {}, _PROBE_ID)
    try:
        wire.send(frame + probe)
        answer = wire.receive()
        if answer[:LENGTH_SIZE] != _LENGTH.pack(_PROBE_ID):
            assert answer[:LENGTH_SIZE] == frame[8:12], "another request's correlation id"
            if has_messages(api.name):
                decode_response(api.name, version, answer)
            answer = wire.receive()
        correlation_id, _ = decode_response("api_versions", 0, answer)
        assert correlation_id == _PROBE_ID
    except (ConnectionClosed, BrokenPipeError):
        return False
    finally:
        wire.close()
    return True


def closes(target: BrokerProcess, data: bytes, *, end: bool) -> bool:
    """Whether the broker closes the connection without a word; ``end``: after we stop sending."""
    wire = Wire(target.kafka)
    try:
        wire.send(data)
        if end:
            wire.socket.shutdown(socket.SHUT_WR)
        return wire.socket.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True
    finally:
        wire.close()


@derived
@given(kinds, seeds)
def test_any_fields(target: BrokerProcess, kind: tuple[Api, int], seed: int) -> None:
    """Well-formed, but with values that nobody chose."""
    api, version = kind
    answered = exchange(target, sample_frame(api, version, seed), api, version)
    assert answered or api is _PRODUCE or api.name == "fetch"


@derived
@given(kinds, seeds, st.data())
def test_changed_bytes(
    target: BrokerProcess, kind: tuple[Api, int], seed: int, data: st.DataObject
) -> None:
    api, version = kind
    frame = bytearray(sample_frame(api, version, seed))
    body = st.integers(read_header(frame[LENGTH_SIZE:]).size + LENGTH_SIZE - 1, len(frame) - 1)
    for position in data.draw(st.lists(body, min_size=1, max_size=8)):
        frame[position] = data.draw(st.integers(0, 255))
    exchange(target, bytes(frame), api, version)


@pytest.mark.parametrize("lie", _LIES)
def test_counts_that_lie(target: BrokerProcess, lie: bytes) -> None:
    """At every place of a request, so also where the count of an array or the size of a text is."""
    for api in _KNOWN:
        version = api.max_version if lie is _COMPACT_LIE else api.min_version
        frame = sample_frame(api, version, seed=1)[LENGTH_SIZE:]
        for position in range(read_header(frame).size, len(frame)):
            changed = frame[:position] + lie + frame[position:]
            exchange(target, _LENGTH.pack(len(changed)) + changed, api, version)


@derived
@given(st.sampled_from(list(APIS.values())), st.integers(-1, 20), st.binary(max_size=80))
def test_random_bodies(target: BrokerProcess, api: Api, version: int, body: bytes) -> None:
    frame = _HEADER.pack(api.key, version, 1, 0) + body
    if version in range(api.min_version, api.max_version + 1):
        exchange(target, _LENGTH.pack(len(frame)) + frame, api, version)
    elif api.name == "api_versions":
        assert exchange(target, _LENGTH.pack(len(frame)) + frame, api, 0)
    else:
        assert closes(target, _LENGTH.pack(len(frame)) + frame, end=False)


@derived
@given(kinds, seeds, st.data())
def test_frames_that_do_not_end(
    target: BrokerProcess, kind: tuple[Api, int], seed: int, data: st.DataObject
) -> None:
    frame = sample_frame(*kind, seed)
    assert closes(target, frame[: data.draw(st.integers(0, len(frame) - 1))], end=True)


@derived
@given(st.binary(min_size=4, max_size=40))
def test_random_bytes(target: BrokerProcess, data: bytes) -> None:
    length = _LENGTH.unpack_from(data)[0]
    impossible = not _HEADER.size <= length <= _FRAME_MAX_BYTES
    assert closes(target, data, end=not impossible)


def test_a_length_is_only_a_claim(target: BrokerProcess) -> None:
    before = target.memory_bytes
    wires = [Wire(target.kafka) for _ in range(40)]
    for wire in wires:
        wire.send(_LENGTH.pack(_FRAME_MAX_BYTES) + bytes(100))
    assert exchange(target, encode_request("metadata", 1, {"topics": []}), APIS[3], 1)
    grown = target.memory_bytes - before
    for wire in wires:
        wire.close()
    assert grown < _GROWTH_MAX_BYTES


def test_many_small_elements_are_too_many(target: BrokerProcess) -> None:
    """A few bytes of a frame become an object of many; Python would need much memory."""
    count = 2**20
    body = _LENGTH.pack(count) + bytes(2 * count)
    frame = _HEADER.pack(3, 1, 1, 0) + body
    assert closes(target, _LENGTH.pack(len(frame)) + frame, end=False)
    produce = _HEADER.pack(0, 3, 1, 0) + struct.pack(">hhii", -1, 1, 0, count) + bytes(6 * count)
    assert closes(target, _LENGTH.pack(len(produce)) + produce, end=False)
    topics = {"topics": [{"name": str(number)} for number in range(1000)]}
    frame = encode_request("metadata", 4, {**topics, "allow_auto_topic_creation": False})
    assert exchange(target, frame, APIS[3], 4)
    assert 1000 < ELEMENTS_MAX < count


@pytest.mark.parametrize("version", range(_PRODUCE.min_version, _PRODUCE.max_version + 1))
def test_produce_is_read_in_place_as_the_decoder_reads_it(version: int) -> None:
    """Sound requests field by field; cut ones are refused by both."""
    for seed in range(20):
        frame = memoryview(sample_frame(_PRODUCE, version, seed))[LENGTH_SIZE:]
        header = read_header(frame)
        position = skip_tags(frame, header.size) if version >= 9 else header.size
        entity, _ = request_reader("produce", version)(bytes(frame[position:]), 0)
        transactional_id, acks, places = read_request(frame, position, version)
        assert (transactional_id, acks) == (entity.transactional_id, entity.acks)
        decoded = [
            (topic.topic_id if version >= 13 else topic.name, one.index, bytes(one.records or b""))
            for topic in entity.topic_data
            for one in topic.partition_data
        ]
        assert [(topic, index, bytes(records)) for topic, index, records in places] == decoded
        for end in range(position, len(frame)):
            with pytest.raises(ProtocolError):
                read_request(frame[:end], position, version)
            with pytest.raises(ProtocolError):
                request_decoder("produce", version)(frame[:end], position)
