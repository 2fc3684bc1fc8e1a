"""Where a fetch begins: ``earliest``, ``latest``, a number, ``-N`` or ``ts:TIME``."""

from __future__ import annotations

from tidelog.api.errors import ApiError
from tidelog.api.http.parameters import is_integer
from tidelog.api.units import parse_time
from tidelog.broker.partition import Partition
from tidelog.storage.errors import OffsetOutOfRange

_INT64_MAX = 2**63 - 1


def time_parameter(text: str, parameter: str, now_ms: int) -> int:
    """Milliseconds since the epoch. Raises ApiError."""
    try:
        return parse_time(text, now_ms)
    except ValueError as error:
        hint = " (in a URL + is a space and %2B is +)" if " " in text else ""
        message = f"{parameter}: {error}{hint}"
        raise ApiError(422, "invalid_parameter", message, parameter=parameter) from None


async def resolve_offset(partition: Partition, text: str, now_ms: int) -> int:
    """The offset that ``text`` stands for; a plain number is taken as it is. Raises ApiError."""
    if text == "earliest":
        return partition.start_offset
    if text == "latest":
        return partition.high_watermark
    if text.startswith("ts:"):
        return await offset_at(partition, time_parameter(text[3:], "offset", now_ms))
    if is_integer(text):
        number = int(text)
        if number < 0:
            return max(partition.start_offset, partition.high_watermark + number)
        if number <= _INT64_MAX:
            return number
    known = "a number, earliest, latest, -N or ts:TIME, as in ts:2023-11-14 and ts:-1h"
    message = f"offset {text!r} is not {known}"
    raise ApiError(422, "invalid_parameter", message, parameter="offset")


async def offset_at(partition: Partition, timestamp_ms: int) -> int:
    """Where the first record at or after a time is; the end where there is none."""
    found = await partition.offset_for_timestamp(timestamp_ms)
    return partition.high_watermark if found is None else found[0]


def within_range(partition: Partition, offset: int, reset: str | None) -> int:
    """The offset itself if it can be read, else where ``reset`` says. Raises OffsetOutOfRange."""
    start, end = partition.start_offset, partition.high_watermark
    if start <= offset <= end:
        return offset
    if reset is None:
        raise OffsetOutOfRange(offset, start, end)
    return start if reset == "earliest" else end
