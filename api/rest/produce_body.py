"""What a producer sends over HTTP, turned into records: JSON, NDJSON lines or plain bytes.

A record has exactly one of ``value`` (JSON, kept as its bytes were sent), ``value_text`` and
``value_base64``, or none: a tombstone, as ``"value": null`` is. The same goes for ``key``, where
a JSON string is kept as its text. Pure: bytes in, records out.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tidelog.api.errors import ApiError
from tidelog.storage.record_batch import EncodableHeaders

TIMESTAMP_MAX = 253_402_300_799_999
"""The end of the year 9999, ms."""
_NONE = Raw(b"")


class HeaderIn(Struct, forbid_unknown_fields=True):
    """One header of the list form."""

    name: str
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET


class RecordIn(Struct, forbid_unknown_fields=True, gc=False):
    """One record as it is sent; which fields may go together is checked later."""

    key: Raw = _NONE
    key_text: str | None = None
    key_base64: str | None = None
    value: Raw = _NONE
    value_text: str | None = None
    value_base64: str | None = None
    headers: dict[str, str] | list[HeaderIn] | None = None
    partition: int | None = None
    timestamp: int | None = None


class RecordsIn(Struct, forbid_unknown_fields=True):
    """The JSON body."""

    records: list[RecordIn]


class _RawRecords(Struct, forbid_unknown_fields=True):
    records: list[Raw]


class ProducedRecord(NamedTuple):
    """A record on its way to a partition; ``timestamp`` in ms."""

    key: bytes | None
    value: bytes | None
    headers: EncodableHeaders
    partition: int | None
    timestamp: int


class BadRecord(NamedTuple):
    """Why one record of a body is refused."""

    record: int
    reason: str


_decode_records = msgspec.json.Decoder(RecordsIn).decode
_decode_record = msgspec.json.Decoder(RecordIn).decode


def parse_json(body: bytes, now_ms: int) -> list[ProducedRecord]:
    """The records of a JSON body, all of them sound. Raises ApiError naming each bad one."""
    try:
        body.decode()
        sent = _decode_records(body).records
    except UnicodeDecodeError as error:
        raise _not_json(f"it is not UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise _explain(body, str(error)) from None
    except msgspec.DecodeError as error:
        raise _not_json(str(error)) from None
    if not sent:
        raise ApiError(422, "no_records", "the list of records is empty")
    records: list[ProducedRecord] = []
    bad: list[BadRecord] = []
    for index, record in enumerate(sent):
        try:
            records.append(record_of(record, now_ms))
        except ValueError as error:
            bad.append(BadRecord(index, str(error)))
    if bad:
        raise bad_records(bad)
    return records


def _explain(body: bytes, reason: str) -> ApiError:
    """Name every record that does not have the right shape, or say what else is wrong."""
    try:
        raw = msgspec.json.decode(body, type=_RawRecords).records
    except msgspec.ValidationError as error:
        return ApiError(422, "invalid_body", f'expected {{"records": [...]}}: {error}')
    except msgspec.DecodeError as error:
        return _not_json(str(error))
    bad = []
    for index, line in enumerate(raw):
        try:
            record_of(_decode_record(line), 0)
        except (msgspec.ValidationError, ValueError) as error:
            bad.append(BadRecord(index, str(error)))
    return bad_records(bad) if bad else ApiError(422, "invalid_body", reason)


def bad_records(bad: list[BadRecord]) -> ApiError:
    """The answer to a body with bad records; nothing of it was written."""
    first = bad[0]
    more = "" if len(bad) == 1 else f" (and {len(bad) - 1} more)"
    message = f"record {first.record}: {first.reason}{more}; nothing was written"
    return ApiError(
        422,
        "invalid_record",
        message,
        records=[{"index": entry.record, "reason": entry.reason} for entry in bad],
    )


def _not_json(reason: str) -> ApiError:
    return ApiError(400, "invalid_json", f"the body is not valid JSON: {reason}")


def parse_line(line: bytes, now_ms: int) -> ProducedRecord:
    """One NDJSON line. Raises ValueError saying what is wrong with it."""
    try:
        line.decode()
        return record_of(_decode_record(line), now_ms)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def record_of(sent: RecordIn, now_ms: int) -> ProducedRecord:
    """Raises ValueError for fields that contradict each other or are out of range."""
    raw = sent.value
    if raw is not _NONE:
        if sent.value_text is not None or sent.value_base64 is not None:
            raise ValueError("give one of value, value_text and value_base64")
        value: bytes | None = bytes(raw)
        if value == b"null":
            value = None
    elif sent.value_text is None and sent.value_base64 is None:
        value = None
    else:
        value = _text_or_base64("value", sent.value_text, sent.value_base64)
    raw = sent.key
    if raw is not _NONE:
        if sent.key_text is not None or sent.key_base64 is not None:
            raise ValueError("give one of key, key_text and key_base64")
        key = _key(bytes(raw))
    elif sent.key_text is None and sent.key_base64 is None:
        key = None
    else:
        key = _text_or_base64("key", sent.key_text, sent.key_base64)
    timestamp = sent.timestamp
    if timestamp is None:
        timestamp = now_ms
    elif not 0 <= timestamp <= TIMESTAMP_MAX:
        raise ValueError(f"timestamp must be milliseconds from 0 to {TIMESTAMP_MAX}")
    partition = sent.partition
    if partition is not None and not 0 <= partition <= 2**31 - 1:
        raise ValueError(f"partition must not be {partition}")
    headers = () if sent.headers is None else _headers(sent.headers)
    # What calling ProducedRecord does, without its detour through Python: once a record.
    return tuple.__new__(ProducedRecord, (key, value, headers, partition, timestamp))


def _key(raw: bytes) -> bytes | None:
    """A JSON string is kept as its text, null is no key, anything else as its JSON."""
    if raw[:1] == b'"':
        if b"\\" in raw:
            text: str = msgspec.json.decode(raw)
            return text.encode()
        return raw[1:-1]
    return None if raw == b"null" else raw


def _text_or_base64(what: str, text: str | None, base64: str | None) -> bytes:
    if text is not None:
        if base64 is not None:
            raise ValueError(f"give one of {what}, {what}_text and {what}_base64")
        return text.encode()
    assert base64 is not None
    return _from_base64(what, base64)


def _from_base64(what: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{what}_base64 is not base64") from None


def _headers(sent: dict[str, str] | list[HeaderIn]) -> EncodableHeaders:
    if isinstance(sent, dict):
        return [(name.encode(), value.encode()) for name, value in sent.items()]
    headers: list[tuple[bytes, bytes | None]] = []
    for header in sent:
        if header.value_base64 is not UNSET:
            if header.value is not UNSET:
                raise ValueError(f"header {header.name!r} has value and value_base64")
            value: bytes | None = _from_base64("value", str(header.value_base64))
        elif header.value is None or header.value is UNSET:
            value = None
        else:
            value = str(header.value).encode()
        headers.append((header.name.encode(), value))
    return headers


def parse_raw(body: bytes, query: Mapping[str, str], now_ms: int) -> ProducedRecord:
    """A body that is the value itself; key, partition and ``header.*`` come from the query.

    Raises ApiError.
    """
    partition = query.get("partition")
    timestamp = query.get("timestamp")
    key = query.get("key")
    headers = [
        (name.removeprefix("header.").encode(), value.encode())
        for name, value in query.items()
        if name.startswith("header.")
    ]
    for name, text in (("partition", partition), ("timestamp", timestamp)):
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 16):
            message = f"{name} must be a whole number, not {text!r}"
            raise ApiError(422, "invalid_parameter", message, parameter=name)
    return ProducedRecord(
        None if key is None else key.encode(),
        body,
        headers,
        None if partition is None else int(partition),
        now_ms if timestamp is None else int(timestamp),
    )
