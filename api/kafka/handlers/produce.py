"""Produce, 3-13 (advertised from 0, as Kafka does): appends batches, one per partition.

The request is read in place, so that its records are never copied: version 9 has compact lengths
and tagged fields, version 13 topic ids. Appending is done before this returns, because the
memory is used again; only waiting for durability (acks=all) is left to a coroutine.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Coroutine
from typing import Any, NamedTuple

from tidelog.api.caller import WRITE
from tidelog.api.error_codes import INVALID_REQUIRED_ACKS, TRANSACTIONAL_ID_AUTHORIZATION_FAILED
from tidelog.api.kafka.lookups import NO_TIMESTAMP, code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.api.kafka.wire.framing import (
    ELEMENTS_MAX,
    NULL_REFUSED,
    TEXT_MAX,
    ProtocolError,
    read_varint,
    skip_tags,
)
from tidelog.broker.partition import Partition
from tidelog.storage.batches.record_batch import HEADER_SIZE, MAGIC, BatchHeader
from tidelog.storage.batches.record_batch import read_header as read_batch_header
from tidelog.storage.errors import (
    BatchTooLarge,
    CorruptBatch,
    InvalidRecord,
    InvalidTimestamp,
    UnsupportedCodec,
)

API = Api(
    key=0, name="produce", versions=(3, 13), flexible_from=9, advertised_min=0, reads_frame=True
)

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_ACKS_TIMEOUT = struct.Struct(">hi")
_ACKS = (-1, 0, 1)
_ZSTD, _ZSTD_FROM = 4, 7
_MAGIC_AT = 16


class Place(NamedTuple):
    """A partition's records in a request; ``topic`` is a name, or an id from version 13."""

    topic: str | uuid.UUID
    partition: int
    records: memoryview


class ProduceRequest(NamedTuple):
    transactional_id: str | None
    acks: int
    places: list[Place]


def read_request(frame: memoryview, position: int, version: int) -> ProduceRequest:
    """The request in place. Raises ProtocolError where it does not fit the frame."""
    try:
        return _read_request(frame, position, version)
    except (struct.error, IndexError) as error:
        raise ProtocolError("the produce request ends too early") from error


def _read_request(frame: memoryview, position: int, version: int) -> ProduceRequest:
    flexible, ids = version >= 9, version >= 13
    transactional_id, position = _text(frame, position, flexible)
    acks, _ = _ACKS_TIMEOUT.unpack_from(frame, position)
    places: list[Place] = []
    topics, position = _count(frame, position + _ACKS_TIMEOUT.size, flexible)
    _check_elements(topics, 0)
    for _ in range(topics):
        topic, position = _topic(frame, position, flexible, ids)
        partitions, position = _count(frame, position, flexible)
        _check_elements(partitions, len(places))
        for _ in range(partitions):
            (index,) = _INT32.unpack_from(frame, position)
            length, position = _count(frame, position + 4, flexible)
            end = position + max(length, 0)
            if end > len(frame):
                raise ProtocolError("records do not fit the produce request")
            places.append(Place(topic, index, frame[position:end]))
            position = skip_tags(frame, end) if flexible else end
        if flexible:
            position = skip_tags(frame, position)
    if flexible:
        skip_tags(frame, position)
    return ProduceRequest(transactional_id, acks, places)


def _check_elements(count: int, before: int) -> None:
    if count < 0:
        raise ProtocolError(NULL_REFUSED)
    if before + count > ELEMENTS_MAX:
        raise ProtocolError("an array does not fit the request", f"{before + count} elements")


def _count(frame: memoryview, position: int, flexible: bool) -> tuple[int, int]:
    """A length of 32 bits or a compact one, -1 for null, and the position after it."""
    if flexible:
        value, position = read_varint(frame, position)
        return value - 1, position
    return _INT32.unpack_from(frame, position)[0], position + 4


def _text(frame: memoryview, position: int, flexible: bool) -> tuple[str | None, int]:
    if flexible:
        length, position = read_varint(frame, position)
        length -= 1
    else:
        (length,) = _INT16.unpack_from(frame, position)
        position += 2
    if length < 0:
        return None, position
    end = position + length
    if end > len(frame) or length > TEXT_MAX:
        raise ProtocolError("a text does not fit the produce request")
    try:
        return str(frame[position:end], "utf-8"), end
    except UnicodeDecodeError as error:
        raise ProtocolError("a text is not UTF-8") from error


def _topic(
    frame: memoryview, position: int, flexible: bool, ids: bool
) -> tuple[str | uuid.UUID, int]:
    if not ids:
        name, position = _text(frame, position, flexible)
        if name is None:
            raise ProtocolError(NULL_REFUSED)
        return name, position
    end = position + 16
    if end > len(frame):
        raise ProtocolError("a topic id does not fit the produce request")
    return uuid.UUID(bytes=bytes(frame[position:end])), end


def handle(
    call: Call, frame: memoryview, position: int
) -> Values | Coroutine[Any, Any, Values | None] | None:
    """Append everything; an answer at once, or a coroutine that waits for durability.

    None answers acks=0. Raises ProtocolError, also for a failure at acks=0: only a closed
    connection can tell that client.
    """
    transactional_id, acks, places = read_request(frame, position, call.version)
    answers: dict[str | uuid.UUID, list[dict[str, Any]]] = {}
    waits: list[tuple[dict[str, Any], Partition, int]] = []
    for place in places:
        if transactional_id is None:
            answer = _append(call, place, acks, waits)
        else:
            answer = _refusal(place, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        answers.setdefault(place.topic, []).append(answer)
    if acks == 0:
        if any(answer["error_code"] for one in answers.values() for answer in one):
            raise ProtocolError("records sent with acks=0 were refused")
        return None
    values = {"responses": [_topic_answer(topic, one) for topic, one in answers.items()]}
    if acks == 1 or not waits:
        return values
    return _flushed(values, waits)


def _topic_answer(topic: str | uuid.UUID, answers: list[dict[str, Any]]) -> dict[str, Any]:
    named = {"name": topic} if isinstance(topic, str) else {"topic_id": topic}
    return {**named, "partition_responses": answers}


def _refusal(place: Place, code: int) -> dict[str, Any]:
    return {
        "index": place.partition,
        "error_code": code,
        "base_offset": -1,
        "log_append_time": NO_TIMESTAMP,
        "log_start_offset": -1,
    }


def _failure(place: Place, error: Exception, start_offset: int) -> dict[str, Any]:
    """The answer to records that were refused; it names those that are to blame."""
    answer = _refusal(place, code_of(error))
    answer["error_message"] = str(error)
    if not isinstance(error, CorruptBatch | BatchTooLarge):
        answer["log_start_offset"] = start_offset
    if isinstance(error, InvalidRecord | InvalidTimestamp):
        answer["record_errors"] = [
            {"batch_index": index, "batch_index_error_message": error.reason}
            for index in error.indexes
        ]
    return answer


def _append(
    call: Call, place: Place, acks: int, waits: list[tuple[dict[str, Any], Partition, int]]
) -> dict[str, Any]:
    start_offset = -1
    try:
        partition = call.access.topic(place.topic, WRITE).partition(place.partition)
        header = _check(place.records, call.version)
        if header.is_transactional:
            return _refusal(place, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        if acks not in _ACKS:
            return _refusal(place, INVALID_REQUIRED_ACKS)
        start_offset = partition.start_offset
        if header.base_offset:
            raise InvalidRecord(f"the batch begins at offset {header.base_offset}, not at 0")
        result = partition.append(place.records)
    except Exception as error:
        return _failure(place, error, start_offset)
    answer = {
        "index": place.partition,
        "error_code": 0,
        "base_offset": result.base_offset,
        "log_append_time": result.log_append_time_ms,
        "log_start_offset": result.start_offset,
    }
    waits.append((answer, partition, result.last_offset + 1))
    return answer


def _check(records: memoryview, version: int) -> BatchHeader:
    """What Kafka asks of the records of a partition: one whole batch, of format 2."""
    if len(records) >= _MAGIC_AT + 1 and records[_MAGIC_AT] < MAGIC:
        raise InvalidRecord("record formats before 2 are not taken")
    if len(records) < HEADER_SIZE:
        raise InvalidRecord("there is no record batch")
    header = read_batch_header(records)
    if header.size < HEADER_SIZE:
        raise CorruptBatch(f"length {header.length} is too small")
    if header.size > len(records):
        raise InvalidRecord("the record batch is not whole")
    if header.size < len(records):
        raise InvalidRecord("a produce request has one record batch for a partition")
    if header.codec == _ZSTD and version < _ZSTD_FROM:
        raise UnsupportedCodec(_ZSTD)
    return header


async def _flushed(values: Values, waits: list[tuple[dict[str, Any], Partition, int]]) -> Values:
    """Wait until everything is on stable storage; what is not gets its error."""
    results = await asyncio.gather(
        *(partition.flushed(end) for _, partition, end in waits), return_exceptions=True
    )
    for (answer, _, _), result in zip(waits, results, strict=True):
        if isinstance(result, Exception):
            answer["error_code"] = code_of(result)
            answer["error_message"] = str(result)
            answer["base_offset"] = -1
    return values
