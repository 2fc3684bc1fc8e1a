"""Messages of every API and version, against kafka-python's codec: theirs read here, ours there.

It has a class for each version that is served, but for the APIs of the new group protocol: what is
written for those is read by kio.
"""

from __future__ import annotations

import dataclasses
import typing
import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from kio.serial import entity_reader

from tests.support.kafka_wire import (
    Message,
    decode_response,
    encode_request,
    has_messages,
    message_class,
)
from tests.support.sample_messages import sample_message
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.wire.apis import Api, request_reader
from tidelog.api.kafka.wire.apis import message_class as kio_class
from tidelog.api.kafka.wire.encoding import Output, field_shape, writer
from tidelog.api.kafka.wire.framing import (
    LENGTH_SIZE,
    finish,
    read_header,
    response_head,
    skip_tags,
)

_SAMPLES = 6
_CORRELATION_ID = 7
_API_VERSIONS = 18
_UNSUPPORTED_VERSION = 35
_VERSIONS = [
    pytest.param(api, version, id=f"{api.name}-v{version}")
    for api in APIS.values()
    if has_messages(api.name)
    for version in range(api.min_version, api.max_version + 1)
]
_UNKNOWN_TO_THEM = [api for api in APIS.values() if not has_messages(api.name)]


@pytest.mark.parametrize(("api", "version"), _VERSIONS)
def test_a_request_of_theirs_is_read_field_by_field(api: Api, version: int) -> None:
    random = Random(f"request {api.name} {version}")
    for _ in range(_SAMPLES):
        sent = sample_message(api.name, "request", version, random)
        frame = memoryview(encode_request(api.name, version, sent, _CORRELATION_ID))[LENGTH_SIZE:]
        header = read_header(frame)
        assert header[:4] == (api.key, version, _CORRELATION_ID, "wire")
        position = skip_tags(frame, header.size) if api.is_flexible(version) else header.size
        entity, size = request_reader(api.name, version)(bytes(frame[position:]), 0)
        assert position + size == len(frame)
        assert as_sent(entity, message_class(api.name, "request")._struct, version) == sent


@pytest.mark.parametrize(("api", "version"), _VERSIONS)
def test_a_response_of_ours_is_read_field_by_field(api: Api, version: int) -> None:
    random = Random(f"response {api.name} {version}")
    theirs = message_class(api.name, "response")._struct
    entity = kio_class(api.name, version, "response")
    for _ in range(_SAMPLES):
        sent = sample_message(api.name, "response", version, random)
        if sent.get("error_code") == _UNSUPPORTED_VERSION and api.key == _API_VERSIONS:
            sent["error_code"] = 0  # it would be read as version 0
        flexible = api.is_flexible(version) and api.key != _API_VERSIONS
        out = Output(response_head(_CORRELATION_ID, flexible=flexible))
        writer(entity)(out, as_handlers_say(sent, entity, theirs, version))
        frame = b"".join(finish(out.finished()))
        assert int.from_bytes(frame[:LENGTH_SIZE], "big") == len(frame) - LENGTH_SIZE
        assert decode_response(api.name, version, frame[LENGTH_SIZE:]) == (_CORRELATION_ID, sent)


@pytest.mark.parametrize("api", _UNKNOWN_TO_THEM, ids=lambda api: api.name)
def test_a_response_they_do_not_know_is_read_by_kio(api: Api) -> None:
    random = Random(api.name)
    for version in range(api.min_version, api.max_version + 1):
        kind = kio_class(api.name, version, "response")
        for _ in range(_SAMPLES):
            sent = kio_sample(kind, random)
            out = Output(bytearray())
            writer(kind)(out, sent)
            data = b"".join(out.finished())
            entity, size = entity_reader(kind)(data, 0)
            assert size == len(data)
            assert as_handler_said(entity) == sent


def test_what_they_do_not_know() -> None:
    names = {api.name for api in _UNKNOWN_TO_THEM}
    new_groups = {"consumer_group_heartbeat", "consumer_group_describe"}
    tokens = {f"{verb}_delegation_token" for verb in ("create", "renew", "expire", "describe")}
    assert names <= {*new_groups, *tokens, "unregister_broker"}


def kio_sample(kind: Any, random: Random) -> Message:
    """A value for every field of one of kio's classes."""
    message: Message = {}
    for field in dataclasses.fields(kind):
        inner, is_array, nullable = field_shape(field.type)
        values = [
            kio_sample(inner, random)
            if inner is not None
            else _kio_values(random)[field.metadata["kafka_type"]]
            for _ in range(random.randrange(4) if is_array else 1)
        ]
        message[field.name] = values if is_array else values[0]
        if nullable and random.random() < 0.2:
            message[field.name] = None
    return message


def _kio_values(random: Random) -> dict[str, Any]:
    """A value for every kind of field."""
    return {
        "bool": random.random() < 0.5,
        "int8": random.randrange(-(2**7), 2**7),
        "int16": random.randrange(-(2**15), 2**15),
        "int32": random.randrange(-(2**31), 2**31),
        "int64": random.randrange(-(2**63), 2**63),
        "error_code": random.randrange(-1, 100),
        "timedelta_i32": random.randrange(2**31),
        # A datetime ends with the year 9999.
        "datetime_i64": random.randrange(2**47),
        "string": "".join(random.choices("abc-é😀", k=random.randrange(9))),
        "uuid": uuid.UUID(int=random.getrandbits(128)),
        "bytes": random.randbytes(random.randrange(9)),
    }


def as_handler_said(value: Any) -> Any:
    """kio's entity as a dict of plain values."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: as_handler_said(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [as_handler_said(one) for one in value]
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if isinstance(value, datetime):
        # kio reads it by way of a float.
        return round((value - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1))
    return value


def as_sent(entity: Any, struct: Any, version: int) -> Message:
    """kio's entity as the dict that kafka-python encoded: same fields, same order."""
    fields = [field for field in struct._fields if field.for_version_q(version)]
    names = [field.name for field in dataclasses.fields(entity)]
    return {
        field.name: _as_sent(getattr(entity, name), field, version)
        for field, name in zip(fields, names, strict=True)
    }


def _as_sent(value: Any, field: Any, version: int) -> Any:
    if isinstance(value, tuple):
        return [_as_sent(one, field.array_of, version) for one in value]
    if dataclasses.is_dataclass(value):
        return as_sent(value, field, version)
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    return value


def as_handlers_say(sent: Message, entity: Any, struct: Any, version: int) -> Message:
    """The dict that a handler would answer with: kio's names, records as buffers."""
    fields = [field for field in struct._fields if field.for_version_q(version)]
    said = {}
    for ours, theirs in zip(dataclasses.fields(entity), fields, strict=True):
        value = sent[theirs.name]
        if theirs.is_struct_array() and value is not None:
            inner = _entity_class(ours.type)
            value = [as_handlers_say(one, inner, theirs.array_of, version) for one in value]
        elif theirs.is_struct() and value is not None:
            value = as_handlers_say(value, _entity_class(ours.type), theirs, version)
        elif theirs.type_str == "bitfield":
            value = sum(1 << bit for bit in value)
        elif theirs.type_str == "records" and value is not None:
            value = [value[:5], memoryview(value)[5:]]
        said[ours.name] = value
    return said


def _entity_class(kind: Any) -> Any:
    """kio's class within a field's type."""
    if dataclasses.is_dataclass(kind):
        return kind
    inner = (_entity_class(one) for one in typing.get_args(kind))
    return next((found for found in inner if found is not None), None)
