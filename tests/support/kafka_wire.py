"""The Kafka protocol over a plain socket, spoken by kafka-python's message classes.

The few messages that kafka-python does not know are kio's, which are generated from the same
schemas. Shares no code with the package. Messages are dicts with kafka-python's field names, which
are those of Kafka's schemas; a field that is left out has the schema's default. Errors are answers
like any other.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import pkgutil
import socket
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

import kafka.protocol
from kafka.protocol.api_message import ApiMessage
from kio.serial import entity_reader, entity_writer

_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_TAGS = b"\0"
"""None, in a flexible header."""
_CLIENT_ID = b"wire"
_TIMEOUT_S = 30

Message = dict[str, Any]


class ConnectionClosed(Exception):
    """The broker has closed the connection instead of answering."""


@cache
def _classes() -> dict[str, Any]:
    for module in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" not in module.name and not module.name.endswith("generate_stubs"):
            importlib.import_module(module.name)
    return {found.__name__: found for found in ApiMessage.__subclasses__()}


def _class_name(api: str, kind: str) -> str:
    return "".join(part.capitalize() for part in api.split("_")) + kind.capitalize()


def has_messages(api: str) -> bool:
    """Whether kafka-python knows an API; it knows none of the new group protocol."""
    return _class_name(api, "request") in _classes()


def message_class(api: str, kind: str) -> Any:
    """kafka-python's class; ``api`` as in ``list_offsets``, ``kind`` is request or response."""
    return _classes()[_class_name(api, kind)]


def encode_request(api: str, version: int, fields: Message, correlation_id: int = 1) -> bytes:
    """A whole frame, its length included."""
    if not has_messages(api):
        return _encode_with_kio(api, version, fields, correlation_id)
    request = _container(message_class(api, "request"), fields, version)
    request.with_header(correlation_id=correlation_id, client_id=_CLIENT_ID.decode())
    return bytes(request.encode(version=version, header=True, framed=True))


def decode_response(api: str, version: int, frame: bytes) -> tuple[int, Message]:
    """Correlation id and message of a frame without its length; all of it must be used."""
    if not has_messages(api):
        return _decode_with_kio(api, version, frame)
    kind, data = message_class(api, "response"), memoryview(frame)
    # The header of ApiVersions never has tagged fields; UNSUPPORTED_VERSION comes in version 0.
    flexible = kind.flexible_version_q(version)
    (correlation_id,) = _LENGTH.unpack_from(data)
    position = _LENGTH.size
    if api == "api_versions":
        if bytes(data[position : position + 2]) == b"\0\x23":
            version, flexible = 0, False
    elif flexible:
        assert data[position] == 0, "the response header has tagged fields"
        position += 1
    decode = kind._struct.compiled_decode_from(
        version, compact=flexible, tagged=flexible, data_class=kind
    )
    response, position = decode(data, position)
    assert position == len(data), f"{len(data) - position} bytes follow the message"
    return correlation_id, response.to_dict(json=False)


def _container(kind: Any, fields: Message, version: int) -> Any:
    """kafka-python's object for a dict, with dicts within it."""
    values = {}
    for name, value in fields.items():
        field = kind._struct.fields[name]
        if field.is_struct_array() and value is not None:
            value = [_container(field.data_class, one, version) for one in value]
        elif field.is_struct() and value is not None:
            value = _container(field.data_class, value, version)
        values[name] = value
    return kind(version=version, **values)


def _encode_with_kio(api: str, version: int, fields: Message, correlation_id: int) -> bytes:
    kind, body = _kio_class(api, "request", version), io.BytesIO()
    entity_writer(kind)(body, kind(**fields))
    header = _HEADER.pack(kind.__api_key__, version, correlation_id, len(_CLIENT_ID)) + _CLIENT_ID
    frame = header + (_TAGS if kind.__flexible__ else b"") + body.getvalue()
    return _LENGTH.pack(len(frame)) + frame


def _decode_with_kio(api: str, version: int, frame: bytes) -> tuple[int, Message]:
    (correlation_id,) = _LENGTH.unpack_from(frame)
    kind = _kio_class(api, "response", version)
    head_size = _LENGTH.size + (len(_TAGS) if kind.__flexible__ else 0)
    entity, size = entity_reader(kind)(frame, head_size)
    assert head_size + size == len(frame)
    message: Message = _plain(entity)
    return correlation_id, message


def _kio_class(api: str, kind: str, version: int) -> Any:
    module = importlib.import_module(f"kio.schema.{api}.v{version}.{kind}")
    return getattr(module, _class_name(api, kind))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


class Wire:
    """One connection."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S)
        self._correlation_id = 0

    def ask(self, api: str, version: int, **fields: Any) -> Message:
        """Send a request, wait for its answer. Raises ConnectionClosed."""
        self._correlation_id += 1
        self.send(encode_request(api, version, fields, self._correlation_id))
        correlation_id, answer = decode_response(api, version, self.receive())
        assert correlation_id == self._correlation_id
        return answer

    def produce(self, topic: str, *batches: bytes, partition: int = 0) -> None:
        """Append batches as they are; fails where one is refused."""
        for data in batches:
            places = [{"index": partition, "records": data}]
            topics = [{"name": topic, "partition_data": places}]
            answer = self.ask("produce", 9, acks=-1, timeout_ms=5000, topic_data=topics)
            (found,) = answer["responses"][0]["partition_responses"]
            assert found["error_code"] == 0

    def send(self, frame: bytes) -> None:
        self.socket.sendall(frame)

    def receive(self) -> bytes:
        """One frame without its length. Raises ConnectionClosed."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise ConnectionClosed
            data += more
        return data

    def close(self) -> None:
        self.socket.close()


def item_codes(answer: Any) -> Iterator[int]:
    """The error codes of an answer's items, which are in lists."""
    if isinstance(answer, list):
        for one in answer:
            if "error_code" in one:
                yield one["error_code"]
            yield from item_codes(one)
    elif isinstance(answer, dict):
        for one in answer.values():
            yield from item_codes(one)
