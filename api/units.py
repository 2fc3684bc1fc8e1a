"""Durations, sizes and times as people write them: ``7d``, ``10MiB``, ``2023-11-14``, ``-1h``.

Durations have the units ms, s, m (or min), h, d and w, also several: ``1h30m``. Sizes are those of
bytes: KiB, MiB, GiB and TiB, or K, M, G and T alone, are powers of 1024 as with ``java`` and
``dd``; kB, MB, GB and TB are powers of 1000. Times without a zone are in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tidelog.api.rfc3339 import parse_rfc3339
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.setting import Setting

_INT64_MAX = 2**63 - 1
_PLACES, _ONE = 9, 1_000_000_000
_NUMBER = rf"\d{{1,19}}(?:\.\d{{1,{_PLACES}}})?"
_DURATION_MS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
}
_PART = re.compile(rf"({_NUMBER})\s?(ms|s|min|m|h|d|w)", re.ASCII)
_DURATION = re.compile(rf"{_PART.pattern}(?:\s?{_PART.pattern})*", re.ASCII)
_SIZE = re.compile(rf"({_NUMBER})\s?(?:([KMGT])(|B|iB)|B)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_WITHOUT_ZONE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:([Tt ]\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)

DURATION_EXAMPLES = "7d, 12h, 1h30m, 90s or 500ms"
SIZE_EXAMPLES = "10MiB, 512k or 1GB"
TIME_EXAMPLES = (
    "2013-07-04T12:00:00Z, 2013-07-04T14:00+02:00, 2013-07-04 (times without a zone are in UTC), "
    "milliseconds since the epoch, now, or -1h for an hour ago"
)


def parse_duration(text: str) -> int:
    """Milliseconds, from such a number or a number with its unit. Raises ValueError."""
    if _WHOLE.fullmatch(text):
        return _bounded(_billionths(text), text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; expected {DURATION_EXAMPLES}")
    parts = _PART.findall(text)
    return _bounded(sum(_billionths(number) * _DURATION_MS[unit] for number, unit in parts), text)


def parse_size(text: str) -> int:
    """Bytes, from such a number or a number with its unit. Raises ValueError."""
    if _WHOLE.fullmatch(text):
        return _bounded(_billionths(text), text)
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size; expected {SIZE_EXAMPLES}")
    number, letter, end = found.groups()
    base = 1000 if (end or "").upper() == "B" else 1024
    power = 0 if letter is None else "KMGT".index(letter.upper()) + 1
    return _bounded(_billionths(number) * base**power, text)


def parse_time(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch, of a time as ``TIME_EXAMPLES`` has them. Raises ValueError."""
    if _WHOLE.fullmatch(text):
        return _bounded(_billionths(text), text)
    if text == "now":
        return now_ms
    if text.startswith("-") and not _WHOLE.fullmatch(text[1:]):
        return now_ms - parse_duration(text[1:])
    found = _WITHOUT_ZONE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time; expected {TIME_EXAMPLES}")
    day, minute, second, zone = found.groups()
    if zone is not None and minute is None:
        raise ValueError(f"{text!r} is not a time: a day has no zone")
    return parse_rfc3339(f"{day}{minute or 'T00:00'}{second or ':00'}{zone or 'Z'}")


def _billionths(number: str) -> int:
    """How many there are in a number of at most nine places."""
    whole, _, fraction = number.partition(".")
    return int(whole + fraction.ljust(_PLACES, "0"))


def _bounded(billionths: int, text: str) -> int:
    whole, rest = divmod(billionths, _ONE)
    if rest or whole > _INT64_MAX:
        reason = "no whole number of them" if rest else "too large"
        raise ValueError(f"{text!r} is {reason}")
    return whole


class _Unit(NamedTuple):
    """What a setting counts."""

    parse: Callable[[str], int]
    of_it: int
    """How many of what ``parse`` gives make one."""
    word: str
    examples: str


_UNITS = {
    ".ms": _Unit(parse_duration, 1, "milliseconds", DURATION_EXAMPLES),
    ".minutes": _Unit(parse_duration, 60_000, "minutes", DURATION_EXAMPLES),
    ".hours": _Unit(parse_duration, 3_600_000, "hours", DURATION_EXAMPLES),
    ".bytes": _Unit(parse_size, 1, "bytes", SIZE_EXAMPLES),
    ".buffer.size": _Unit(parse_size, 1, "bytes", SIZE_EXAMPLES),
    ".bytes.per.second": _Unit(parse_size, 1, "bytes", SIZE_EXAMPLES),
}
"""By the end of a setting's name."""


def in_plain_numbers(setting: Setting, text: str) -> str:
    """A setting's value as Kafka has it: ``7d`` of retention.ms is 604800000.

    What has no unit is left as it is. Raises InvalidSetting.
    """
    unit = next((unit for end, unit in _UNITS.items() if setting.name.endswith(end)), None)
    text = text.strip()
    if unit is None or not (text[:1].isdigit() and text[-1:].isalpha()):
        return text
    try:
        value = unit.parse(text)
    except ValueError:
        number = "a number" if setting.kind == "double" else "a whole number"
        reason = f"must be {number} of {unit.word}, or with a unit as {unit.examples}"
        raise InvalidSetting(setting.name, text, reason) from None
    if value % unit.of_it:
        raise InvalidSetting(setting.name, text, f"must be a whole number of {unit.word}")
    return str(value // unit.of_it)
