"""Requests from bytes: kio's native decoder, behind a check of what the bytes claim to hold.

The decoder makes room for as many elements as an array's length says before it reads the first,
and a length that lies ends the process. So a walk by the same schemas, which allocates nothing,
goes first: lengths have to fit the frame, and all arrays together may have no more than
``ELEMENTS_MAX`` elements, because an element of a few bytes becomes an object of many. What is null
is refused where the schema has no null: to the decoder any array may be.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from tidelog.api.kafka.wire.apis import message_class, request_reader
from tidelog.api.kafka.wire.encoding import FIXED, field_shape, write_varint
from tidelog.api.kafka.wire.framing import (
    ELEMENTS_MAX,
    NULL_REFUSED,
    TAGS_MAX,
    TEXT_MAX,
    Buffer,
    ProtocolError,
    read_varint,
)

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_UUID_SIZE = 16
_FRAME_MAX = 2**31 - 1
"""Bytes of what is no text; they have to fit the frame anyway."""


@cache
def request_decoder(name: str, version: int) -> Callable[[memoryview, int], Any]:
    """(frame, position of the request's fields) -> kio's entity.

    Raises ProtocolError for bytes that are no such request.
    """
    walk, read = _walker(message_class(name, version, "request")), request_reader(name, version)

    def decode(frame: memoryview, position: int) -> Any:
        try:
            walked = _Walk(frame)
            walk(walked, position)
            entity, _ = read(walked.readable(position), 0)
        except ProtocolError:
            raise
        except Exception as error:
            detail = f"{name} version {version}: {error!r}"
            raise ProtocolError("the request cannot be read", detail) from error
        return entity

    return decode


class _Walk:
    """One walk over a frame, and how many elements it may still meet."""

    __slots__ = ("elements_left", "end", "frame", "unread")

    def __init__(self, frame: memoryview) -> None:
        self.frame = frame
        self.end = len(frame)
        self.elements_left = ELEMENTS_MAX
        self.unread: list[tuple[int, int, bytes]] = []
        """Sections of tagged fields that the decoder cannot read, with what it reads instead."""

    def readable(self, position: int) -> bytes:
        """All from ``position`` on as the decoder can read it."""
        if not self.unread:
            return bytes(self.frame[position:])
        parts: list[Buffer] = []
        for start, end, instead in sorted(self.unread):
            if start >= position:
                parts += (self.frame[position:start], instead)
                position = end
        return b"".join([*parts, self.frame[position:]])

    def elements(self, count: int, position: int) -> None:
        """Every element has at least a byte. Raises ProtocolError."""
        self.elements_left -= count
        if count > self.end - position or self.elements_left < 0:
            raise ProtocolError("an array does not fit the request", f"{count} elements")


Step = Callable[[_Walk, int], int]
"""From the position of a field, or of several, to the one after."""


@cache
def _walker(entity: type) -> Step:
    """The step over a whole message or an entity within one."""
    flexible: bool = entity.__flexible__  # type: ignore[attr-defined]
    steps: list[Step | int] = []
    tagged: dict[int, Step] = {}
    nullable = set()
    for field in dataclasses.fields(entity):
        tag = field.metadata.get("tag")
        step = _field_step(field, flexible)
        if tag is not None:
            tagged[tag] = _fixed(step) if isinstance(step, int) else step
            if field.metadata.get("kafka_type") == "string" and field_shape(field.type)[2]:
                nullable.add(tag)
        elif isinstance(step, int) and steps and isinstance(steps[-1], int):
            steps[-1] += step
        else:
            steps.append(step)
    if flexible:
        steps.append(_tags(tagged, nullable))
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
        step = _primitive(field.metadata["kafka_type"], flexible, nullable and not is_array)
    return _array(step, flexible, nullable) if is_array else step


def _primitive(kind: str, flexible: bool, nullable: bool) -> Step | int:
    if kind == "uuid":
        return _UUID_SIZE
    if kind in FIXED:
        return struct.calcsize(">" + FIXED[kind])
    if flexible:
        return _compact_text(nullable, TEXT_MAX if kind == "string" else _FRAME_MAX)
    return _text(_INT16 if kind == "string" else _INT32, nullable)


def _check_null(nullable: bool) -> None:
    if not nullable:
        raise ProtocolError(NULL_REFUSED)


def _fixed(size: int) -> Step:
    return lambda walk, position: position + size


def _nullable(step: Step) -> Step:
    def move(walk: _Walk, position: int) -> int:
        is_null = walk.frame[position] >= 0x80
        return position + 1 if is_null else step(walk, position + 1)

    return move


def _compact_text(nullable: bool, longest: int) -> Step:
    def move(walk: _Walk, position: int) -> int:
        length, position = read_varint(walk.frame, position)
        if length == 0:
            _check_null(nullable)
            return position
        if length - 1 > longest:
            raise ProtocolError("a text is too long", f"{length - 1} bytes")
        return position + length - 1

    return move


def _text(layout: struct.Struct, nullable: bool) -> Step:
    def move(walk: _Walk, position: int) -> int:
        length: int = layout.unpack_from(walk.frame, position)[0]
        if length < 0:
            _check_null(nullable)
            length = 0
        return position + layout.size + length

    return move


def _array(step: Step | int, flexible: bool, nullable: bool) -> Step:
    def move(walk: _Walk, position: int) -> int:
        if flexible:
            count, position = read_varint(walk.frame, position)
            count -= 1
        else:
            (count,) = _INT32.unpack_from(walk.frame, position)
            position += _INT32.size
        if count <= 0:
            if count < 0:
                _check_null(nullable)
            return position
        walk.elements(count, position)
        if isinstance(step, int):
            return position + count * step
        for _ in range(count):
            position = step(walk, position)
        return position

    return move


def _tags(tagged: dict[int, Step], nullable: set[int]) -> Step:
    """The decoder reads neither fields that only later clients know (KIP-482) nor texts of null."""

    def move(walk: _Walk, position: int) -> int:
        frame, start = walk.frame, position
        count, position = read_varint(frame, position)
        if not count:
            return position
        if count > TAGS_MAX:
            raise ProtocolError("there are too many tagged fields", f"{count} in a section")
        kept = []
        for _ in range(count):
            begin = position
            tag, position = read_varint(frame, position)
            size, position = read_varint(frame, position)
            end = position + size
            if tag in tagged:
                if tagged[tag](walk, position) != end:
                    raise ProtocolError("a tagged field has another size than it says")
                if tag not in nullable or frame[position] != 0:
                    kept.append(frame[begin:end])
            position = end
        if len(kept) < count:
            instead = bytearray()
            write_varint(instead, len(kept))
            walk.unread.append((start, position, b"".join([instead, *kept])))
        return position

    return move
