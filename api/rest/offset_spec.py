"""Where a fetch begins: ``earliest``, ``latest``, a number, ``-N`` or ``ts:TIME``."""

from __future__ import annotations

from tidelog.api.errors import ApiError
from tidelog.api.rest.parameters import is_integer, is_whole_number
from tidelog.api.rest.rfc3339 import parse_rfc3339
from tidelog.broker.partition import Partition
from tidelog.storage.errors import OffsetOutOfRange

_INT64_MAX = 2**63 - 1


def parse_time(text: str, parameter: str) -> int:
    """Milliseconds since the epoch, from such a number or RFC 3339. Raises ApiError."""
    if is_whole_number(text) and int(text) <= _INT64_MAX:
        return int(text)
    try:
        return parse_rfc3339(text)
    except ValueError:
        message = (
            f"{parameter}: {text!r} is not a time; expected milliseconds since the epoch or "
            "RFC 3339 with its zone, such as 2013-07-04T12:00:00Z or 2013-07-04T14:00:00+02:00 "
            "(in a URL + is a space and %2B is +)"
        )
        raise ApiError(422, "invalid_parameter", message, parameter=parameter) from None


async def resolve_offset(partition: Partition, text: str) -> int:
    """The offset that ``text`` stands for; a plain number is taken as it is. Raises ApiError."""
    if text == "earliest":
        return partition.start_offset
    if text == "latest":
        return partition.high_watermark
    if text.startswith("ts:"):
        found = await partition.offset_for_timestamp(parse_time(text[3:], "offset"))
        return partition.high_watermark if found is None else found[0]
    if is_integer(text):
        number = int(text)
        if number < 0:
            return max(partition.start_offset, partition.high_watermark + number)
        if number <= _INT64_MAX:
            return number
    message = f"offset {text!r} is not a number, earliest, latest, -N or ts:TIME"
    raise ApiError(422, "invalid_parameter", message, parameter="offset")


def within_range(partition: Partition, offset: int, reset: str | None) -> int:
    """The offset itself if it can be read, else where ``reset`` says. Raises OffsetOutOfRange."""
    start, end = partition.start_offset, partition.high_watermark
    if start <= offset <= end:
        return offset
    if reset is None:
        raise OffsetOutOfRange(offset, start, end)
    return start if reset == "earliest" else end
