"""Times as RFC 3339 writes them: ``2013-07-04T12:00:00.5+02:00``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_LEAP_SECOND = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS, _CYCLE = 400, timedelta(days=146_097)
"""After so long the calendar repeats; ``datetime`` does not know the year 0, RFC 3339 does."""


def parse_rfc3339(text: str) -> int:
    """Milliseconds since the epoch, the rest of the fraction cut off. Raises ValueError.

    A leap second is the same as the second after it, as in POSIX; there is one only at the end
    of a month in UTC.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time of RFC 3339")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    is_leap = second == _LEAP_SECOND
    moment = datetime(
        year + _CYCLE_YEARS if year < _CYCLE_YEARS else year,
        *(month, day, hour, minute, second - is_leap),
        tzinfo=UTC,
    )
    since_epoch = moment - _EPOCH - (_CYCLE if year < _CYCLE_YEARS else timedelta())
    if sign is not None:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        since_epoch += -offset if sign == "+" else offset
    whole = since_epoch // timedelta(seconds=1) + is_leap
    after = _EPOCH + timedelta(seconds=whole) % _CYCLE
    if is_leap and (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError(f"there is no leap second at {text!r}")
    return whole * 1000 + int((fraction or "0")[:3].ljust(3, "0"))
