"""Where reading begins and ends, as people say it: an offset, a place in the log, or a time."""

from __future__ import annotations

import re
from typing import NamedTuple

from tidelog.api.cli.failures import UsedWrongly

_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)
_PLACES = ("earliest", "latest")
_TIME = "ts:"


class Span(NamedTuple):
    """The offsets of a partition that there are now."""

    start: int
    end: int


class End(NamedTuple):
    """Where reading a partition ends: before this offset, or before this time."""

    offset: int | None = None
    timestamp_ms: int | None = None


def beginning_of(text: str) -> str:
    """As the HTTP API takes it, which has the last word on what is none."""
    if text in _PLACES or _NUMBER.fullmatch(text) or text.startswith(_TIME):
        return text
    from tidelog.api.units import parse_time

    try:
        parse_time(text, 0)
    except ValueError:
        return text
    return _TIME + text


def check_end(text: str | None) -> None:
    """Raises UsedWrongly for what is none; None is no end."""
    if text is not None:
        end_of(text, Span(0, 0), 0)


def end_of(text: str, span: Span, now_ms: int) -> End:
    """Raises UsedWrongly."""
    if text in _PLACES:
        return End(span.start if text == "earliest" else span.end)
    if _NUMBER.fullmatch(text):
        return End(int(text) if text[0] != "-" else max(span.start, span.end + int(text)))
    from tidelog.api.units import TIME_EXAMPLES, parse_time

    try:
        return End(timestamp_ms=parse_time(text.removeprefix(_TIME), now_ms))
    except ValueError:
        raise UsedWrongly(
            f"--until: {text!r} is not earliest, latest, an offset, -N or a time: {TIME_EXAMPLES}"
        ) from None
