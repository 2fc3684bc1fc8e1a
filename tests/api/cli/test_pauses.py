"""Lines that come bit by bit, and how long they are held back."""

from __future__ import annotations

import io
from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.written_topics import WrittenTopics
from tidelog.api.cli.client import Client
from tidelog.api.cli.input_lines import Line, lines_of
from tidelog.api.cli.input_records import InputRecord
from tidelog.api.cli.progress import Progress
from tidelog.api.cli.sending import Sending


class Pieces(io.RawIOBase):
    """Brings one piece at a time."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = next(self._pieces, b"")
        buffer[: len(piece)] = piece
        return len(piece)


@given(st.lists(st.lists(st.sampled_from([b"a", b"\n", b"\r"]), min_size=1).map(b"".join)))
@example([b"one", b" li", b"ne\n", b"\n", b"two"])
def test_lines_are_those_of_the_whole(pieces: list[bytes]) -> None:
    found = [*lines_of(io.BufferedReader(Pieces(pieces)))]
    whole = io.BytesIO(b"".join(pieces)).readlines()
    assert found == [Line(number, line) for number, line in enumerate(whole, 1)]


def test_records_that_never_pause_are_not_held_back_for_long(
    broker: BrokerProcess, topics: WrittenTopics
) -> None:
    topic = topics.new()
    now_s = 100.0
    written = []

    def records() -> Iterator[InputRecord]:
        nonlocal now_s
        for line in range(1, 61):
            yield InputRecord(line, [b'"value":1'])
            written.append(topics.end(topic))
            now_s += 0.01

    with Client(broker.url) as client:
        Sending(client, topic, "all", Progress(), clock_s=lambda: now_s).send(records())
    held = [line - there for line, there in enumerate(written, 1)]
    assert 5 < max(held) <= 11
    assert topics.end(topic) == 60
