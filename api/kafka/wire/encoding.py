"""Responses as bytes, by the schemas that kio generated from Kafka's own definitions.

A handler answers with a plain dict that has the fields of every version it serves; here the
fields of the version at hand are picked and written. Fields that the dict leaves out have the
schema's default, or zero, empty, null. Record bytes are passed on as they are, never copied.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from tidelog.api.kafka.wire.framing import Part
from tidelog.storage.buffers import StoredBytes

Values = Mapping[str, Any]
Field = dataclasses.Field[Any]
_NO_UUID = bytes(16)
_KEEP_APART = 512

FIXED = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint16": "H",
    "uint32": "I",
    "float64": "d",
    "bool": "?",
    "error_code": "h",
    "timedelta_i32": "i",
    "timedelta_i64": "q",
    "datetime_i64": "q",
}
"""Kinds of fields that always have the same size, as ``struct`` calls them."""


class Output:
    """Bytes in the making: small pieces in one buffer, large ones kept as they are."""

    def __init__(self, head: bytearray) -> None:
        self.parts: list[Part] = [head]
        self.tail = head
        self.errors: list[int] = []
        """Every error code that was written, but for 0."""

    def pass_on(self, data: Sequence[Part]) -> None:
        """Add buffers without copying the large ones."""
        for part in data:
            if isinstance(part, StoredBytes) or len(part) >= _KEEP_APART:
                self.tail = bytearray()
                self.parts += (part, self.tail)
            else:
                self.tail += part

    def finished(self) -> list[Part]:
        """The parts, without an empty last one."""
        return self.parts if len(self.tail) or len(self.parts) == 1 else self.parts[:-1]


Write = Callable[[Output, Any], None]


def write_varint(tail: bytearray, value: int) -> None:
    """An unsigned varint."""
    while value > 0x7F:
        tail.append(value & 0x7F | 0x80)
        value >>= 7
    tail.append(value)


@cache
def writer(entity: type) -> Write:
    """Writes a dict as ``entity``, a class of kio's schema."""
    flexible: bool = entity.__flexible__  # type: ignore[attr-defined]
    fields = dataclasses.fields(entity)
    plain = [field for field in fields if "tag" not in field.metadata]
    steps = [
        _fixed_writer(list(run)) if fixed else _named_writer(next(run), flexible)
        for fixed, run in _runs(plain)
    ]
    if flexible:
        steps.append(_tags_writer([field for field in fields if "tag" in field.metadata]))

    def write_entity(out: Output, values: Values) -> None:
        for step in steps:
            step(out, values)

    return write_entity


def _runs(fields: list[Field]) -> Iterator[tuple[bool, Iterator[Field]]]:
    """Neighbours of fixed size together, which are packed at once; all others one by one."""
    numbered = enumerate(fields)
    for key, run in groupby(numbered, lambda entry: -1 if _is_fixed(entry[1]) else entry[0]):
        yield key < 0, (field for _, field in run)


def _is_fixed(field: Field) -> bool:
    return field.metadata.get("kafka_type") in FIXED and not field_shape(field.type)[1]


def _fixed_writer(run: list[Field]) -> Write:
    pack = struct.Struct(">" + "".join(FIXED[field.metadata["kafka_type"]] for field in run)).pack
    defaults = [(field.name, _default(field)) for field in run]
    ((first, first_default), *more) = defaults
    pick = itemgetter(*(name for name, _ in defaults))

    kinds = [field.metadata["kafka_type"] for field in run]
    code = kinds.index("error_code") if "error_code" in kinds else None

    def write_one(out: Output, values: Values) -> None:
        value = values.get(first, first_default)
        out.tail += pack(value)
        if code is not None and value:
            out.errors.append(value)

    def write_run(out: Output, values: Values) -> None:
        try:
            picked = pick(values)
        except KeyError:
            picked = [values.get(name, default) for name, default in defaults]
        out.tail += pack(*picked)
        if code is not None and picked[code]:
            out.errors.append(picked[code])

    return write_run if more else write_one


def _named_writer(field: Field, flexible: bool) -> Write:
    name, default, write = field.name, _default(field), _field_writer(field, flexible)

    def write_field(out: Output, values: Values) -> None:
        write(out, values.get(name, default))

    return write_field


def _tags_writer(fields: list[Field]) -> Write:
    """Tagged fields are written where the handler gives them."""
    tagged = sorted(
        (field.metadata["tag"], field.name, _field_writer(field, flexible=True)) for field in fields
    )

    def write_tags(out: Output, values: Values) -> None:
        given = [entry for entry in tagged if entry[1] in values]
        write_varint(out.tail, len(given))
        for tag, name, write in given:
            inner = Output(bytearray())
            write(inner, values[name])
            write_varint(out.tail, tag)
            write_varint(out.tail, len(inner.tail))
            out.tail += inner.tail

    def write_none(out: Output, values: Values) -> None:
        out.tail.append(0)

    return write_tags if tagged else write_none


def _default(field: Field) -> Any:
    """What is written when the handler does not say."""
    if field.default is not dataclasses.MISSING:
        value = field.default
        if dataclasses.is_dataclass(value):
            return None
        if value is None and field.metadata.get("kafka_type") in FIXED:
            return -1
        return value if not hasattr(value, "total_seconds") else 0
    inner, is_array, nullable = field_shape(field.type)
    if nullable:
        return -1 if field.metadata.get("kafka_type") in FIXED and not is_array else None
    if is_array:
        return ()
    kind = field.metadata.get("kafka_type")
    if kind in FIXED:
        return 0
    return {"string": "", "bytes": b"", "records": ()}.get(str(kind), {} if inner else None)


def field_shape(kind: Any) -> tuple[type | None, bool, bool]:
    """The entity class in a field's type if any, whether it is an array, whether nullable."""
    nullable = False
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(kind) if option is not types.NoneType]
        nullable, kind = True, options[0]
    is_array = typing.get_origin(kind) is tuple
    if is_array:
        kind = typing.get_args(kind)[0]
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            nullable, kind = True, typing.get_args(kind)[0]
    return kind if dataclasses.is_dataclass(kind) else None, is_array, nullable  # type: ignore[return-value]


def _field_writer(field: Field, flexible: bool) -> Write:
    entity, is_array, nullable = field_shape(field.type)
    if entity is not None:
        one = writer(entity)
        if nullable and not is_array:
            one = _nullable_entity(one)
    else:
        one = _primitive(field.metadata["kafka_type"], flexible)
    if not is_array:
        return one

    def write_array(out: Output, items: Sequence[Any] | None) -> None:
        if items is None:
            out.tail += b"\0" if flexible else b"\xff\xff\xff\xff"
            return
        if flexible:
            write_varint(out.tail, len(items) + 1)
        else:
            out.tail += len(items).to_bytes(4, "big")
        for item in items:
            one(out, item)

    return write_array


def _nullable_entity(write: Write) -> Write:
    def write_nullable(out: Output, values: Values | None) -> None:
        if values is None:
            out.tail += b"\xff"
        else:
            out.tail += b"\x01"
            write(out, values)

    return write_nullable


def _primitive(kind: str, flexible: bool) -> Write:
    if kind in FIXED:
        pack = struct.Struct(">" + FIXED[kind]).pack

        def write_fixed(out: Output, value: Any) -> None:
            out.tail += pack(value)

        return write_fixed
    if kind == "uuid":
        return _write_uuid
    if kind == "records":
        return _write_records_compact if flexible else _write_records
    length_size = 2 if kind == "string" else 4

    def write_text(out: Output, value: str | bytes | None) -> None:
        if value is None:
            out.tail += b"\0" if flexible else b"\xff" * length_size
            return
        data = value.encode() if isinstance(value, str) else value
        if flexible:
            write_varint(out.tail, len(data) + 1)
        else:
            out.tail += len(data).to_bytes(length_size, "big")
        out.tail += data

    return write_text


def _write_uuid(out: Output, value: uuid.UUID | None) -> None:
    out.tail += _NO_UUID if value is None else value.bytes


def _write_records(out: Output, data: Sequence[Part] | None) -> None:
    size = -1 if data is None else sum(map(len, data))
    out.tail += size.to_bytes(4, "big", signed=True)
    out.pass_on(data or ())


def _write_records_compact(out: Output, data: Sequence[Part] | None) -> None:
    write_varint(out.tail, 0 if data is None else sum(map(len, data)) + 1)
    out.pass_on(data or ())
