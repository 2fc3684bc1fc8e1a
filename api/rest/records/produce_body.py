"""What a producer sends over HTTP, turned into records: JSON, NDJSON lines or plain bytes.

A record has exactly one of ``value`` (JSON, kept as its bytes were sent), ``value_text`` and
``value_base64``, or none: a tombstone, as ``"value": null`` is. The same goes for ``key``, where
a JSON string is kept as its text. A byte-order mark before JSON is passed, as RFC 8259 allows.
Pure: bytes in, records out.
"""

from __future__ import annotations

import binascii
import json
from codecs import BOM_UTF8
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from tidelog.api.errors import ApiError
from tidelog.api.http.half_characters import half_character
from tidelog.api.http.parameters import quantity, whole_number
from tidelog.api.units import parse_time
from tidelog.storage.batches.record import EncodableHeaders, EncodableRecord

TIMESTAMP_MAX = 253_402_300_799_999
"""The end of the year 9999, ms."""
NO_TIMESTAMP = -1
_PARTITION_MAX = 2**31 - 1
_NONE = Raw(b"")
_TOO_DEEP = (
    "is nested too deep to be read as JSON; such a value can be sent as text "
    "(value_text, or the record alone as text/plain)"
)


class HeaderIn(Struct, forbid_unknown_fields=True):
    """One header of the list form."""

    name: str | None = None
    name_base64: str | None = None
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


class _PlainRecordIn(Struct, forbid_unknown_fields=True, gc=False):
    """The usual record: the parser alone sees that it is sound."""

    key: str | None = None
    value: Raw = _NONE
    headers: dict[str, str] | None = None
    partition: Annotated[int, Meta(ge=0, le=_PARTITION_MAX)] | None = None
    timestamp: Annotated[int, Meta(ge=0, le=TIMESTAMP_MAX)] | None = None


class _PlainRecordsIn(Struct, forbid_unknown_fields=True):
    records: list[_PlainRecordIn]


class Produced(NamedTuple):
    """Records on their way to partitions."""

    records: list[EncodableRecord]
    named: dict[int, int]
    """The partition that a record names, by its place in the list; most name none."""

    def add(self, record: EncodableRecord, partition: int | None) -> None:
        """One more record and the partition that it names."""
        if partition is not None:
            self.named[len(self.records)] = partition
        self.records.append(record)

    def at(self, now_ms: int) -> Produced:
        """With this time for the records that have ``NO_TIMESTAMP``."""
        records = [
            (now_ms if time == NO_TIMESTAMP else time, key, value, headers)
            for time, key, value, headers in self.records
        ]
        return Produced(records, self.named)


class BadRecord(NamedTuple):
    """Why one record of a body is refused."""

    record: int
    reason: str


_decode_plain_records = msgspec.json.Decoder(_PlainRecordsIn).decode
_decode_plain_record = msgspec.json.Decoder(_PlainRecordIn).decode
_decode_records = msgspec.json.Decoder(RecordsIn).decode
_decode_record = msgspec.json.Decoder(RecordIn).decode


def parse_json(body: bytes, now_ms: int) -> Produced:
    """The records of a JSON body, all of them sound. Raises ApiError naming each bad one."""
    try:
        return _parse_json(body.removeprefix(BOM_UTF8), now_ms)
    except RecursionError:
        raise ApiError(422, "nested_too_deep", f"the body {_TOO_DEEP}") from None


def _parse_json(body: bytes, now_ms: int) -> Produced:
    try:
        body.decode()
        plain = _decode_plain_records(body).records
    except UnicodeDecodeError as error:
        raise _not_json(f"it is not UTF-8 at byte {error.start}") from None
    except msgspec.MsgspecError:
        return _parse_any(body, now_ms)
    if not plain:
        raise _no_records()
    return _produced(plain, now_ms)


def _produced(plain: list[_PlainRecordIn], now_ms: int) -> Produced:
    records: list[EncodableRecord] = [
        (
            now_ms if sent.timestamp is None else sent.timestamp,
            None if sent.key is None else sent.key.encode(),
            # With another length it is not nothing and not null.
            sent.value if len(sent.value) not in (0, 4) else _value(sent.value),
            () if sent.headers is None else _headers(sent.headers),
        )
        for sent in plain
    ]
    named = {n: sent.partition for n, sent in enumerate(plain) if sent.partition is not None}
    return Produced(records, named)


def _parse_any(body: bytes, now_ms: int) -> Produced:
    """As ``parse_json``, for records with any of the fields."""
    try:
        sent = _decode_records(body).records
    except msgspec.ValidationError as error:
        raise _explain(body, str(error)) from None
    except msgspec.DecodeError as error:
        halves = _records_with_halves(body)
        raise (bad_records(halves) if halves else _not_json(str(error))) from None
    if not sent:
        raise _no_records()
    produced = Produced([], {})
    bad: list[BadRecord] = []
    for index, record in enumerate(sent):
        try:
            produced.add(record_of(record, now_ms), record.partition)
        except ValueError as error:
            bad.append(BadRecord(index, str(error)))
    if bad:
        raise bad_records(bad)
    return produced


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


def _records_with_halves(body: bytes) -> list[BadRecord]:
    """Records that no parser of ours reads because they escape half a character."""
    if b"\\u" not in body:
        return []
    try:
        records = json.loads(body)["records"]
        found = [(index, half_character(record)) for index, record in enumerate(records)]
    except (ValueError, TypeError, KeyError):
        return []
    return [BadRecord(index, _half(half)) for index, half in found if half is not None]


def _half(half: str) -> str:
    return f"{half} is half a surrogate pair, which is no text; send its bytes as base64"


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


def _no_records() -> ApiError:
    return ApiError(422, "no_records", "the list of records is empty")


def _not_json(reason: str) -> ApiError:
    return ApiError(400, "invalid_json", f"the body is not valid JSON: {reason}")


def parse_lines(lines: list[bytes], now_ms: int) -> Produced:
    """The records of usual NDJSON lines. Raises ValueError: ``parse_line`` must look at each."""
    try:
        b"".join(lines).decode()
        plain = [_decode_plain_record(line) for line in lines]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return _produced(plain, now_ms)


def parse_line(line: bytes, now_ms: int) -> tuple[EncodableRecord, int | None]:
    """One NDJSON line and the partition it names. Raises ValueError saying what is wrong."""
    try:
        line.decode()
        sent = _decode_record(line)
    except RecursionError:
        raise ValueError(f"the line {_TOO_DEEP}") from None
    except msgspec.MsgspecError as error:
        raise ValueError(_why_no_record(line, str(error))) from None
    return record_of(sent, now_ms), sent.partition


def _why_no_record(line: bytes, reason: str) -> str:
    try:
        half = half_character(json.loads(line)) if b"\\u" in line else None
    except ValueError:
        return reason
    return reason if half is None else _half(half)


def record_of(sent: RecordIn, now_ms: int) -> EncodableRecord:
    """Raises ValueError for fields that contradict each other or are out of range."""
    if sent.value is _NONE:
        value = _text_or_base64("value", sent.value_text, sent.value_base64)
    elif sent.value_text is None and sent.value_base64 is None:
        value = _value(sent.value)
    else:
        raise ValueError("give one of value, value_text and value_base64")
    if sent.key is _NONE:
        key = _text_or_base64("key", sent.key_text, sent.key_base64)
    elif sent.key_text is None and sent.key_base64 is None:
        key = _key(bytes(sent.key))
    else:
        raise ValueError("give one of key, key_text and key_base64")
    timestamp = sent.timestamp
    if timestamp is None:
        timestamp = now_ms
    elif not 0 <= timestamp <= TIMESTAMP_MAX:
        raise ValueError(f"timestamp must be milliseconds from 0 to {TIMESTAMP_MAX}")
    if sent.partition is not None and not 0 <= sent.partition <= _PARTITION_MAX:
        raise ValueError(f"partition must not be {sent.partition}")
    return timestamp, key, value, () if sent.headers is None else _headers(sent.headers)


def _value(raw: bytes) -> bytes | None:
    """JSON as it was sent; nothing and null are no value."""
    value = bytes(raw)
    return None if value in (b"", b"null") else value


def _key(raw: bytes) -> bytes | None:
    """A JSON string is kept as its text, null is no key, anything else as its JSON."""
    if raw[:1] == b'"':
        if b"\\" in raw:
            text: str = msgspec.json.decode(raw)
            return text.encode()
        return raw[1:-1]
    return None if raw == b"null" else raw


def _text_or_base64(what: str, text: str | None, base64: str | None) -> bytes | None:
    if text is not None and base64 is not None:
        raise ValueError(f"give one of {what}, {what}_text and {what}_base64")
    if text is not None:
        return text.encode()
    return None if base64 is None else _from_base64(what, base64)


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
                raise ValueError(f"header {_name(header)!r} has value and value_base64")
            value: bytes | None = _from_base64("value", str(header.value_base64))
        elif header.value is None or header.value is UNSET:
            value = None
        else:
            value = str(header.value).encode()
        headers.append((_name(header), value))
    return headers


def _name(header: HeaderIn) -> bytes:
    if header.name is not None and header.name_base64 is None:
        return header.name.encode()
    if header.name is None and header.name_base64 is not None:
        return _from_base64("name", header.name_base64)
    raise ValueError("a header has either name or name_base64")


def parse_raw(body: bytes, query: dict[str, str], now_ms: int) -> Produced:
    """A body that is the value itself; key, partition and ``header.*`` come from the query.

    Raises ApiError.
    """
    key = query.get("key")
    headers = [
        (name.removeprefix("header.").encode(), value.encode())
        for name, value in query.items()
        if name.startswith("header.")
    ]
    time = quantity(
        query, "timestamp", lambda text: parse_time(text, now_ms), now_ms, 0, TIMESTAMP_MAX
    )
    partition = whole_number(query, "partition", 0, 0, _PARTITION_MAX)
    produced = Produced([], {})
    produced.add(
        (time, None if key is None else key.encode(), body, headers),
        partition if "partition" in query else None,
    )
    return produced
