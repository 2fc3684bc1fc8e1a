"""Requests that are not what the schemas say, in every API and version: nulls, lengths, ends.

Apache Kafka closes the connection on a request that it cannot parse, and so do we; what may be
null, and tagged fields that only later clients know, are taken by both. The first test says which
is which by the schemas; the last asks Apache Kafka.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.support.apache_kafka import ApacheKafkaBroker
from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import ConnectionClosed, Wire, encode_request
from tests.support.schema_bytes import Place, places, request, varint
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.wire.apis import Api

_LENGTH = struct.Struct(">i")
_PROBE = encode_request("api_versions", 0, {}, 0x7EAD)
_TEXT_MAX = 2**15 - 1
_MEMORY_MAX_BYTES = 64 * 2**20
_UNKNOWN_TAGS = (varint(1) + varint(99) + varint(2) + b"ab", varint(2) + b"\x63\0\x64\1a")
_WRONG_TAGS = (varint(1), varint(1) + b"\x63\x7f", varint(2**31), varint(1001) + b"\x63\0" * 1001)

every_api = pytest.mark.parametrize("api", APIS.values(), ids=lambda api: api.name)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that never tells of a failure of its own."""
    process = BrokerProcess(tmp_path_factory.mktemp("decoding") / "data")
    yield process
    process.stop()
    assert "Traceback" not in process.stderr


def versions(api: Api) -> range:
    return range(api.min_version, api.max_version + 1)


def variable(api: Api, version: int) -> list[Place]:
    """Fields that have a length or can be null."""
    return [place for place in places(api.name, version) if place.kind != "tags"]


def is_answered(address: str, frame: bytes) -> bool:
    """Whether the request and one behind it are answered; otherwise the connection was closed."""
    wire = Wire(address)
    try:
        wire.send(_LENGTH.pack(len(frame)) + frame + _PROBE)
        wire.receive()
        wire.receive()
    except (ConnectionClosed, BrokenPipeError):
        return False
    finally:
        wire.close()
    return True


@every_api
def test_nulls_only_where_the_schema_has_them(target: BrokerProcess, api: Api) -> None:
    for version in versions(api):
        assert is_answered(target.kafka, request(api.name, version))
        for place in variable(api, version):
            frame = request(api.name, version, place.path, place.with_length(-1))
            assert is_answered(target.kafka, frame) == place.nullable, (version, place)


@every_api
def test_lengths_beyond_the_frame(target: BrokerProcess, api: Api) -> None:
    """Whatever they claim: nothing is made room for."""
    before = target.memory_bytes
    for version in versions(api):
        for place in variable(api, version):
            if place.kind == "struct":
                continue
            for length in (1000, 2**15 - 1, 2**31 - 2):
                if length > _TEXT_MAX and place.kind == "string" and not place.flexible:
                    continue
                frame = request(api.name, version, place.path, place.with_length(length))
                assert not is_answered(target.kafka, frame), (version, place, length)
    assert target.peak_memory_bytes - before < _MEMORY_MAX_BYTES


@every_api
def test_texts_that_are_too_long(target: BrokerProcess, api: Api) -> None:
    """Compact lengths could say more, but no text has more than 32767 bytes."""
    for version in versions(api):
        for place in variable(api, version):
            if place.kind == "string" and place.flexible:
                for length in (_TEXT_MAX, _TEXT_MAX + 1):
                    text = place.with_length(length) + b"x" * length
                    frame = request(api.name, version, place.path, text)
                    taken = is_answered(target.kafka, frame)
                    assert taken == (length <= _TEXT_MAX), (version, place, length)


@every_api
def test_requests_that_end_too_early(target: BrokerProcess, api: Api) -> None:
    for version in (api.min_version, api.max_version):
        frame = request(api.name, version)
        # The frame is as long as it says, and the request within it is not.
        for end in range(len(request(api.name, version)) - 1, 9, -3):
            assert not is_answered(target.kafka, frame[:end]), (version, end)


@every_api
def test_bytes_behind_a_request(target: BrokerProcess, api: Api) -> None:
    """Are passed over."""
    for version in versions(api):
        assert is_answered(target.kafka, request(api.name, version, end=b"\xff" * 7))


@every_api
def test_tagged_fields_of_later_clients(target: BrokerProcess, api: Api) -> None:
    for version in versions(api):
        for place in places(api.name, version):
            if place.kind == "tags":
                for tags in _UNKNOWN_TAGS:
                    frame = request(api.name, version, place.path, tags)
                    assert is_answered(target.kafka, frame), (version, place, tags)
                for tags in _WRONG_TAGS:
                    frame = request(api.name, version, place.path, tags)
                    assert not is_answered(target.kafka, frame), (version, place, tags)


def test_a_tagged_field_has_the_size_that_it_says(target: BrokerProcess) -> None:
    """What follows would be read from another place than it was checked at."""
    text = b"\2x"
    for size, taken in ((2, True), (1, False), (3, False), (40, False)):
        tags = varint(1) + varint(0) + varint(size) + text
        frame = request("fetch", 12, ("tagged fields",), tags)
        assert is_answered(target.kafka, frame) == taken


@pytest.mark.xdist_group("apache_kafka_broker")
@every_api
def test_apache_kafka_does_the_same(
    target: BrokerProcess, apache_kafka_broker: ApacheKafkaBroker, api: Api
) -> None:
    if api.name == "unregister_broker":
        pytest.skip("it would take the one broker out of their cluster")
    for version in (api.min_version, api.max_version):
        frames = [request(api.name, version, end=b"\0")]
        for place in places(api.name, version):
            if place.kind == "tags":
                frames += (request(api.name, version, place.path, tags) for tags in _UNKNOWN_TAGS)
            elif place.kind != "records":  # which it never answers
                frames.append(request(api.name, version, place.path, place.with_length(-1)))
        for frame in frames:
            ours, theirs = (
                is_answered(address, frame)
                for address in (target.kafka, apache_kafka_broker.address)
            )
            assert ours == theirs, (version, frame)
