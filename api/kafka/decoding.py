"""Requests from bytes: kio's native decoder, behind a check of what the bytes claim to hold.

The decoder makes room for as many elements as an array's length says before it reads the first,
and a length that lies ends the process. So a walk by the same schemas, which allocates nothing,
goes first: lengths have to fit the frame, and all arrays together may have no more than
``ELEMENTS_MAX`` elements, because an element of a few bytes becomes an object of many.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from tidelog.api.kafka.apis import message_class, request_reader
from tidelog.api.kafka.encoding import FIXED, field_shape
from tidelog.api.kafka.framing import ELEMENTS_MAX, TAGS_MAX, Buffer, ProtocolError, read_varint

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_UUID_SIZE = 16


@cache
def request_decoder(name: str, version: int) -> Callable[[memoryview, int], Any]:
    """(frame, position of the request's fields) -> kio's entity.

    Raises ProtocolError for bytes that are no such request.
    """
    walk, read = _walker(message_class(name, version, "request")), request_reader(name, version)

    def decode(frame: memoryview, position: int) -> Any:
        try:
            walk(_Walk(frame), position)
            entity, _ = read(bytes(frame[position:]), 0)
        except ProtocolError:
            raise
        except Exception as error:
            raise ProtocolError(f"{name} version {version}: {error!r}") from error
        return entity

    return decode


class _Walk:
    """One walk over a frame, and how many elements it may still meet."""

    __slots__ = ("elements_left", "end", "frame")

    def __init__(self, frame: Buffer) -> None:
        self.frame = frame
        self.end = len(frame)
        self.elements_left = ELEMENTS_MAX

    def elements(self, count: int, position: int) -> None:
        """Every element has at least a byte. Raises ProtocolError."""
        self.elements_left -= count
        if count > self.end - position or self.elements_left < 0:
            raise ProtocolError(f"an array of {count} elements does not fit the request")


Step = Callable[[_Walk, int], int]
"""From the position of a field, or of several, to the one after."""


@cache
def _walker(entity: type) -> Step:
    """The step over a whole message or an entity within one."""
    flexible: bool = entity.__flexible__  # type: ignore[attr-defined]
    steps: list[Step | int] = []
    tagged: dict[int, Step] = {}
    for field in dataclasses.fields(entity):
        tag = field.metadata.get("tag")
        step = _field_step(field, flexible)
        if tag is not None:
            tagged[tag] = _fixed(step) if isinstance(step, int) else step
        elif isinstance(step, int) and steps and isinstance(steps[-1], int):
            steps[-1] += step
        else:
            steps.append(step)
    if flexible:
        steps.append(_tags(tagged))
    moves = [_fixed(step) if isinstance(step, int) else step for step in steps]

    def walk(walk: _Walk, position: int) -> int:
        for move in moves:
            position = move(walk, position)
        if position > walk.end:
            raise ProtocolError("the request ends too early")
        return position

    return walk


def _field_step(field: dataclasses.Field[Any], flexible: bool) -> Step | int:
    """A number of bytes for what always has the same size."""
    entity, is_array, nullable = field_shape(field.type)
    step: Step | int
    if entity is not None:
        step = _walker(entity)
        if nullable and not is_array:
            step = _nullable(step)
    else:
        step = _primitive(field.metadata["kafka_type"], flexible)
    return _array(step, flexible) if is_array else step


def _primitive(kind: str, flexible: bool) -> Step | int:
    if kind == "uuid":
        return _UUID_SIZE
    if kind in FIXED:
        return struct.calcsize(">" + FIXED[kind])
    if flexible:
        return _compact_text
    return _text(_INT16 if kind == "string" else _INT32)


def _fixed(size: int) -> Step:
    return lambda walk, position: position + size


def _nullable(step: Step) -> Step:
    def move(walk: _Walk, position: int) -> int:
        is_null = walk.frame[position] >= 0x80
        return position + 1 if is_null else step(walk, position + 1)

    return move


def _compact_text(walk: _Walk, position: int) -> int:
    length, position = read_varint(walk.frame, position)
    return position + max(length - 1, 0)


def _text(layout: struct.Struct) -> Step:
    def move(walk: _Walk, position: int) -> int:
        length: int = layout.unpack_from(walk.frame, position)[0]
        return position + layout.size + max(length, 0)

    return move


def _array(step: Step | int, flexible: bool) -> Step:
    def move(walk: _Walk, position: int) -> int:
        if flexible:
            count, position = read_varint(walk.frame, position)
            count -= 1
        else:
            (count,) = _INT32.unpack_from(walk.frame, position)
            position += _INT32.size
        if count <= 0:
            return position
        walk.elements(count, position)
        if isinstance(step, int):
            return position + count * step
        for _ in range(count):
            position = step(walk, position)
        return position

    return move


def _tags(tagged: dict[int, Step]) -> Step:
    def move(walk: _Walk, position: int) -> int:
        count, position = read_varint(walk.frame, position)
        if count > TAGS_MAX:
            raise ProtocolError(f"a section of {count} tagged fields")
        for _ in range(count):
            tag, position = read_varint(walk.frame, position)
            size, position = read_varint(walk.frame, position)
            if tag in tagged:
                tagged[tag](walk, position)
            position += size
        return position

    return move
