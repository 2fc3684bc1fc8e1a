"""Messages of any API and version, made up from kafka-python's copies of Kafka's schemas."""

from __future__ import annotations

import uuid
from random import Random
from typing import Any

from tests.support.kafka_wire import Message, message_class

_INTEGERS = {
    "int8": 2**7,
    "int16": 2**15,
    "int32": 2**31,
    "int64": 2**53,
}
"""Bounds of values; durations of 64 bits must be ones that Python can hold."""
_ERROR_CODES_MAX = 100


def sample_message(api: str, kind: str, version: int, random: Random) -> Message:
    """Every field of the version with a value; nullable ones are null now and then."""
    return _struct(message_class(api, kind)._struct, version, random)


def _struct(struct: Any, version: int, random: Random) -> Message:
    fields = [field for field in struct._fields if field.for_version_q(version)]
    return {field.name: _value(field, version, random) for field in fields}


def _value(field: Any, version: int, random: Random) -> Any:
    if field.nullable_for_version_q(version) and random.random() < 0.2:
        return None
    if field.is_struct_array():
        return [_struct(field.array_of, version, random) for _ in range(random.randrange(4))]
    if field.is_struct():
        return _struct(field, version, random)
    if field.is_array():
        return [_plain(field.array_of, random) for _ in range(random.randrange(4))]
    return _plain(field, random)


def _plain(field: Any, random: Random) -> Any:
    kind = field.type_str
    if field.name.endswith("error_code"):
        return random.randrange(-1, _ERROR_CODES_MAX)
    if kind in _INTEGERS:
        bound = _INTEGERS[kind]
        return random.choice((0, 1, -1, bound - 1, -bound, random.randrange(-bound, bound)))
    if kind == "uint16":
        return random.randrange(2**16)
    if kind == "bool":
        return random.random() < 0.5
    if kind == "float64":
        return random.random()
    if kind == "uuid":
        return uuid.UUID(int=random.getrandbits(128))
    if kind == "string":
        return "".join(random.choices("abc-.é😀", k=random.randrange(12)))
    if kind == "bitfield":
        return set(random.sample(range(3, 13), random.randrange(4)))
    assert kind in ("bytes", "records"), kind
    return random.randbytes(random.choice((0, 1, 40, 700)))
