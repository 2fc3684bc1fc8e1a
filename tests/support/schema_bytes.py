"""Requests of any API and version as bytes, by kio's schemas, with bytes of one's own in a field.

Every array has one element, every text is ``x`` and every number 1, so that each field is reached
that a request can have. Shares no code with the package.
"""

from __future__ import annotations

import dataclasses
import importlib
import struct
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

_HEADER = struct.Struct(">hhih")
_TAGS = "tagged fields"
_SIZES = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float64": 8,
    "uuid": 16,
    "timedelta_i32": 4,
    "timedelta_i64": 8,
}


class Place(NamedTuple):
    """A field of variable size: where it is, and what it may be."""

    path: tuple[str, ...]
    kind: str
    """array, string, bytes, records, struct, or tags: a section of tagged fields."""
    nullable: bool
    tagged: bool
    flexible: bool

    def with_length(self, length: int) -> bytes:
        """The start of the field, claiming a length; -1 is null."""
        if self.kind == "struct":
            return b"\xff" if length < 0 else b"\x01"
        if self.flexible:
            return varint(length + 1)
        return length.to_bytes(2 if self.kind == "string" else 4, "big", signed=True)


def request_class(api: str, version: int) -> type:
    """kio's class of a request."""
    module = importlib.import_module(f"kio.schema.{api}.v{version}.request")
    name = "".join(part.capitalize() for part in api.split("_")) + "Request"
    found: type = getattr(module, name)
    return found


def places(api: str, version: int) -> list[Place]:
    """Every field of variable size, those within others included."""
    return list(_places(request_class(api, version), ()))


def request(
    api: str, version: int, path: tuple[str, ...] = (), instead: bytes = b"", end: bytes = b""
) -> bytes:
    """A frame without its length; the field at ``path`` is ``instead``, ``end`` follows it all."""
    entity = request_class(api, version)
    head = _HEADER.pack(entity.__api_key__, version, 1, -1)  # type: ignore[attr-defined]
    tags = b"\0" if entity.__flexible__ else b""  # type: ignore[attr-defined]
    return head + tags + _entity(entity, path, instead) + end


def varint(value: int) -> bytes:
    """An unsigned varint."""
    data = b""
    while value > 0x7F:
        data += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return data + bytes((value,))


class _Shape(NamedTuple):
    """Of a field: the entity in it, whether it is an array, whether it may be null."""

    entity: type | None
    is_array: bool
    nullable: bool


def _shape(kind: Any) -> _Shape:
    options = [kind]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        options = [one for one in typing.get_args(kind) if one is not types.NoneType]
    nullable, kind = options != [kind], options[0]
    is_array = typing.get_origin(kind) is tuple
    if is_array:
        kind = typing.get_args(kind)[0]
    return _Shape(kind if dataclasses.is_dataclass(kind) else None, is_array, nullable)


def _places(entity: Any, above: tuple[str, ...], tagged: bool = False) -> Iterator[Place]:
    flexible = entity.__flexible__
    for field in dataclasses.fields(entity):
        inner, is_array, nullable = _shape(field.type)
        path = (*above, field.name)
        in_tag = tagged or "tag" in field.metadata
        kind = field.metadata.get("kafka_type")
        if is_array:
            yield Place(path, "array", nullable, in_tag, flexible)
            if kind == "string":
                yield Place((*path, "0"), kind, False, in_tag, flexible)
        elif inner is not None and nullable:
            yield Place(path, "struct", True, in_tag, flexible)
        elif inner is None and kind not in _SIZES:
            yield Place(path, str(kind), nullable, in_tag, flexible)
        if inner is not None:
            yield from _places(inner, path, in_tag)
    if flexible:
        yield Place((*above, _TAGS), "tags", False, tagged, True)


def _entity(entity: Any, path: tuple[str, ...], instead: bytes) -> bytes:
    flexible = entity.__flexible__
    data, tags = b"", []
    for field in dataclasses.fields(entity):
        below = path[1:] if path[:1] == (field.name,) else None
        value = _field(field, flexible, below, instead)
        if "tag" not in field.metadata:
            data += value
        elif below is not None:
            tags.append(varint(field.metadata["tag"]) + varint(len(value)) + value)
    if path == (_TAGS,):
        return data + instead
    return data + (varint(len(tags)) + b"".join(tags) if flexible else b"")


def _field(field: Any, flexible: bool, below: tuple[str, ...] | None, instead: bytes) -> bytes:
    """``below`` is the rest of the path where it goes through this field."""
    if below == ():
        return instead
    inner, is_array, nullable = _shape(field.type)
    kind = field.metadata.get("kafka_type")
    if below == ("0",):
        data = instead
    elif inner is not None:
        data = _entity(inner, below or (), instead)
    elif kind in _SIZES:
        data = (1).to_bytes(_SIZES[kind], "big")
    else:
        size = 2 if kind == "string" else 4
        data = (b"\x02" if flexible else (1).to_bytes(size, "big")) + b"x"
    if is_array:
        return (b"\x02" if flexible else (1).to_bytes(4, "big")) + data
    return b"\x01" + data if inner is not None and nullable else data
