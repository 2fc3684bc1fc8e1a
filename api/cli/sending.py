"""Records go to the broker in batches, and what is said of them in the end is true.

A batch is written whole or not at all. One that the broker refuses is sent again in halves, so
that all before the record which is to blame is written, and its line can be named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, NoAnswer, Refused
from tidelog.api.cli.input_lines import BadLine
from tidelog.api.cli.input_records import InputRecord
from tidelog.api.cli.progress import Progress

_BATCH_RECORDS = 1000
_BATCH_BYTES = 512 * 1024
_BATCH_S = 0.1
"""So long a record is held back at most where records come without a pause, but slowly."""
_ABOUT_RECORDS = (400, 413, 422)
"""The statuses of answers that a record is to blame for."""


class _Written(msgspec.Struct):
    records: list[msgspec.Raw]


_decode_written = msgspec.json.Decoder(_Written).decode


class _Batch(NamedTuple):
    lines: list[int]
    bodies: list[bytes]
    """A JSON object for each record."""

    def parts(self) -> Iterator[_Batch]:
        """Two halves."""
        middle = len(self.lines) // 2
        yield _Batch(self.lines[:middle], self.bodies[:middle])
        yield _Batch(self.lines[middle:], self.bodies[middle:])


class Sending:
    """One command's records on their way to a topic."""

    def __init__(
        self,
        client: Client,
        topic: str,
        acks: str,
        progress: Progress,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock_s = clock_s
        self._client = client
        self._path = path_of("topics", topic, "records")
        self._query = {"acks": acks}
        self._progress = progress
        self._batch = _Batch([], [])
        self._batch_bytes = 0
        self._begun_s = 0.0
        self.written = 0
        """Records that the broker has taken."""
        self.unknown: Sequence[int] = ()
        """The lines of the records that were on their way when the answer did not come."""

    def send(self, records: Iterable[InputRecord]) -> None:
        """Send all. Raises BadLine after what comes before it is sent, CommandFailed."""
        with self._progress:
            try:
                for record in records:
                    self._add(record)
            except BadLine:
                self._flush()
                raise
            self._flush()

    def pause(self) -> None:
        """Nothing comes for now: what is held back is sent. Raises BadLine, CommandFailed."""
        self._flush()
        self._progress.pause()

    def _add(self, record: InputRecord) -> None:
        now_s = self._clock_s()
        if not self._batch.lines:
            self._begun_s = now_s
        body = b"{" + b",".join(record.members) + b"}"
        self._batch.lines.append(record.line)
        self._batch.bodies.append(body)
        self._batch_bytes += len(body)
        if (
            len(self._batch.lines) == _BATCH_RECORDS
            or self._batch_bytes >= _BATCH_BYTES
            or now_s - self._begun_s >= _BATCH_S
        ):
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, _Batch([], []), 0
        if batch.lines:
            self._send(batch)
            self._progress.advance(len(batch.lines))

    def _send(self, batch: _Batch) -> None:
        try:
            self._post(batch)
        except Refused as error:
            if error.status not in _ABOUT_RECORDS:
                raise
            if len(batch.lines) == 1:
                raise BadLine(batch.lines[0], f"is refused: {_reason(error)}") from error
        else:
            return
        for part in batch.parts():
            self._send(part)

    def _post(self, batch: _Batch) -> None:
        body = b'{"records":[' + b",".join(batch.bodies) + b"]}"
        self.unknown = batch.lines
        try:
            answer = self._client.post_raw(self._path, body, "application/json", self._query)
            self._check(answer, len(batch.lines))
        except NoAnswer as error:
            if not error.sent:
                self.unknown = ()
            raise
        except CommandFailed:
            self.unknown = ()
            raise
        self.unknown = ()
        self.written += len(batch.lines)

    def _check(self, answer: bytes, count: int) -> None:
        """Raises CommandFailed unless it tells so many places."""
        try:
            if len(_decode_written(answer).records) == count:
                return
        except msgspec.MsgspecError:
            pass
        raise self._client.foreign_answer()


def _reason(error: Refused) -> str:
    """What is wrong with the only record of a body."""
    try:
        return str(error.details["records"][0]["reason"])
    except (KeyError, IndexError, TypeError):
        return str(error)
