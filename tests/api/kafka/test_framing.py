"""The bounds of a frame, from its first bytes alone."""

from __future__ import annotations

import pytest

from tidelog.api.kafka.wire.framing import ProtocolError, frame_size

LIMIT = 104_857_600


@pytest.mark.parametrize("buffer", [b"", b"\0\0\0"])
def test_a_length_that_is_not_whole_is_not_known_yet(buffer: bytes) -> None:
    assert frame_size(buffer, 0, len(buffer), LIMIT) is None


def test_the_length_counts_what_follows_it() -> None:
    assert frame_size(b"xx\0\0\0\x20", 2, 4, LIMIT) == 36


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"POST /v1/topics", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"\xff\xff\xff\xff", "-1 bytes"),
        (b"\x7f\xff\xff\xff", "2147483647 bytes"),
    ],
)
def test_what_cannot_be_a_length_is_called_by_its_name(start: bytes, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        frame_size(start, 0, len(start), LIMIT)
