"""Times of RFC 3339, all of them and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.rfc3339 import parse_rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)


def written(moment: datetime, separator: str, fraction: str) -> str:
    """The moment with another fraction, as ``datetime`` writes it."""
    whole = moment.replace(microsecond=0).isoformat(sep=separator)
    return whole[:19] + fraction + whole[19:]


@given(
    moment=st.datetimes(timezones=OFFSETS),
    separator=st.sampled_from("Tt "),
    digits=st.text("0123456789", max_size=12),
)
def test_as_another_parser_reads_it(moment: datetime, separator: str, digits: str) -> None:
    text = written(moment, separator, f".{digits}" if digits else "")
    reference = datetime.fromisoformat(written(moment, "T", f".{digits[:3]:0<3}"))
    assert parse_rfc3339(text) == (reference - EPOCH) // timedelta(milliseconds=1)
    if moment.utcoffset() == timedelta():
        for zone in ("Z", "z", "-00:00"):
            assert parse_rfc3339(text.replace("+00:00", zone)) == parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14t22:13:20z", 1_700_000_000_000),
        ("2023-11-14 22:13:20Z", 1_700_000_000_000),
        ("2023-11-15T03:43:20+05:30", 1_700_000_000_000),
        ("2023-11-14T22:13:20.0Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20.1234567890123Z", 1_700_000_000_123),
        ("2023-11-14T22:13:20.9999999Z", 1_700_000_000_999),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1990-12-31T23:59:60Z", 662_688_000_000),
        ("1990-12-31T15:59:60.5-08:00", 662_688_000_500),
        ("9999-12-31T23:59:60Z", 253_402_300_800_000),
        ("9999-12-31T23:59:59.999-23:59", 253_402_387_139_999),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
    ],
)
def test_known_times(text: str, expected: int) -> None:
    assert parse_rfc3339(text) == expected


REFUSED = [
    "",
    "now",
    "2023-11-14",
    "2023-11-14T22:13:20",
    "2023-11-14T22:13Z",
    "2023-11-14T22Z",
    "2023-W46-2T22:13:20Z",
    "2023-318T22:13:20Z",
    "20231114T221320Z",
    "2023-13-01T00:00:00Z",
    "2023-00-01T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2023-11-31T00:00:00Z",
    "2023-11-14T24:00:00Z",
    "2023-11-14T22:60:00Z",
    "2023-11-14T22:13:61Z",
    "2023-11-14T22:13:60Z",
    "2023-11-14T23:59:60Z",
    "1990-12-31T23:59:60+01:00",
    "2023-11-14T22:13:20.Z",
    "2023-11-14T22:13:20,5Z",
    "2023-11-14T22:13:20+0100",
    "2023-11-14T22:13:20+01",
    "2023-11-14T22:13:20+24:00",
    "2023-11-14T22:13:20+01:60",
    "2023-11-14T22:13:20 01:00",
    "2023-11-14T22:13:20UTC",
    "2023-11-14T22:13:20Z ",
    " 2023-11-14T22:13:20Z",
    "2023-11-14T22:13:20Z\n",
    "2023-11-14_22:13:20Z",
    "2023-11-14  22:13:20Z",
    "\uff12023-11-14T22:13:20Z",
    "+2023-11-14T22:13:20Z",
    "12023-11-14T22:13:20Z",
    "23-11-14T22:13:20Z",
    "2023-11-14T22:13:20\u2212" + "01:00",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|second|minute|hour|day|month"):
        parse_rfc3339(text)
