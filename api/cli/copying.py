"""Records on their way from topic to topic, each written once however often it is begun again.

How far a copy has come is a group's offsets at the source. Before a page of records is written,
the offset of its first one is committed, with where the page ends as metadata. A copy that was
ended anywhere reads that same page again and writes it with the same idempotency key, by which
the destination knows what it has of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from tidelog.api.cli.bounds import End
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, Refused
from tidelog.api.cli.persistence import Persistence
from tidelog.api.cli.positions import Limits, Position, in_turns, positions_of
from tidelog.api.cli.progress import Progress
from tidelog.api.cli.record_filter import RecordFilter
from tidelog.api.cli.shown_records import Shown, number_of
from tidelog.api.cli.unreadable import tell_left_out

_PAGE, _PAGE_BYTES = 5000, 256 * 1024
_MEMBERS = ("key", "key_base64", "value", "value_text", "value_base64", "headers", "timestamp")
_INTENT = re.compile(r"copying to (\d{1,19})", re.ASCII)
_GONE = 404
_ABOUT_RECORDS = (400, 413, 422)
_OTHER_RECORDS = "idempotency_key_reused"


class _TooMuch(CommandFailed):
    """A page that is to be read again, with fewer records."""


class Side(NamedTuple):
    """A topic and the broker that has it."""

    client: Client
    topic: str

    def shown(self) -> dict[str, Any]:
        """The topic. Raises CommandFailed."""
        found: dict[str, Any] = self.client.call("GET", path_of("topics", self.topic))
        return found


class Plan(NamedTuple):
    """What is copied and how."""

    offset: str
    """Where a partition begins of which nothing is copied yet, as the HTTP API takes it."""
    until: str | None
    follow: bool
    repartition: bool
    skip_corrupt: bool
    wanted: RecordFilter


class Copying:
    """One copy; ``copied`` counts the records that the destination has taken."""

    def __init__(
        self, source: Side, target: Side, group: str, plan: Plan, progress: Progress
    ) -> None:
        self._source = source
        self._target = target
        self._group = group
        self._plan = plan
        self._progress = progress
        self._page = _PAGE
        self._written: dict[int, int] = {}
        """By partition the end of what is written and not committed."""
        self._on_corrupt = "skip" if plan.skip_corrupt else "fail"
        self._counted: dict[int, int] = {}
        """By partition the end of what ``copied`` counts: a page may be written again."""
        self.copied = 0

    def run(self) -> None:
        """To the end, or for ever where it follows. Raises CommandFailed."""
        plan = self._plan
        positions = [
            *positions_of(
                *(self._source.client, self._source.topic, None, plan.offset, plan.until),
                follow=plan.follow,
            )
        ]
        resume = partial(self._resume, {one.partition: one for one in positions})
        persistence = Persistence(wanted=plan.follow)
        resume()
        with self._progress:
            while positions := [one for one in positions if not one.done]:
                try:
                    for position, wait_ms in in_turns(positions, follow=plan.follow):
                        self._copy_page(position, wait_ms)
                        persistence.answered()
                except CommandFailed as error:
                    persistence.wait_after(error)
                    persistence.ask(resume)

    def _resume(self, positions: dict[int, Position]) -> None:
        """Set positions to what is committed; a page that was begun is written to its end."""
        self._written.clear()
        for committed in self._committed():
            position = positions.get(committed["partition"])
            if committed["topic"] != self._source.topic or position is None:
                continue
            position.offset = str(max(position.start, committed["offset"]))
            begun = _INTENT.fullmatch(committed["metadata"])
            if begun is not None:
                self._copy_again(position, int(begun.group(1)))

    def _committed(self) -> list[dict[str, Any]]:
        try:
            answer = self._source.client.call("GET", path_of("groups", self._group, "offsets"))
        except Refused as error:
            if error.status != _GONE:
                raise
            return []
        offsets: list[dict[str, Any]] = answer["offsets"]
        return offsets

    def _copy_again(self, position: Position, end: int) -> None:
        first, partition = int(position.offset), position.partition
        page = Position(self._source.topic, partition, position.offset, End(end), follow=False)
        records: list[Shown] = []
        while not page.done:
            records += page.read(self._source.client, self._limits(0)).records
        try:
            self._write(partition, first, end, records)
        except Refused as error:
            if error.status not in _ABOUT_RECORDS or error.code == _OTHER_RECORDS:
                raise
            # It was refused then too, and nothing of it is there.
            return
        position.offset = str(end)
        self._commit(partition, end)

    def _copy_page(self, position: Position, wait_ms: int) -> None:
        before = position.offset
        try:
            self._copy_next_page(position, wait_ms)
        except CommandFailed as error:
            position.offset, position.done = before, False
            if not isinstance(error, _TooMuch):
                raise

    def _copy_next_page(self, position: Position, wait_ms: int) -> None:
        partition = position.partition
        read = position.read(self._source.client, self._limits(wait_ms))
        tell_left_out(read.skipped)
        records, end = read.records, read.next_offset
        try:
            if records:
                first = number_of(records[0], "offset")
                self._commit(partition, first, f"copying to {end}")
                self._write(partition, first, end, records)
        except Refused as error:
            if error.status not in _ABOUT_RECORDS:
                raise
            if len(records) == 1:
                place = f"{position.topic}-{partition}"
                raise CommandFailed(f"offset {first} of {place} is refused: {error}") from error
            # The same again with fewer: too much at once, or one of them is to blame.
            self._page = max(1, len(records) // 2)
            raise _TooMuch from error
        if records:
            self._page = min(_PAGE, self._page * 2)
            self._written[partition] = end
        if position.done or read.at_end or not records:
            # Else the next page that is begun says it too.
            self._commit_written(partition)

    def _commit_written(self, partition: int) -> None:
        end = self._written.pop(partition, None)
        if end is not None:
            self._commit(partition, end)

    def _limits(self, wait_ms: int) -> Limits:
        return Limits(self._page, _PAGE_BYTES, wait_ms, self._on_corrupt)

    def _commit(self, partition: int, offset: int, metadata: str = "") -> None:
        committed = {
            "topic": self._source.topic,
            "partition": partition,
            "offset": offset,
            "metadata": metadata,
        }
        path = path_of("groups", self._group, "offsets")
        self._source.client.call("PUT", path, body={"offsets": [committed]})

    def _write(self, partition: int, first: int, end: int, records: list[Shown]) -> None:
        wanted = self._plan.wanted.wanted(records)
        if not wanted:
            return
        place = None if self._plan.repartition else partition
        body = b'{"records":[%b]}' % b",".join(_bodies(wanted, place))
        name = f"{self._group} {self._source.topic} {partition} {first} {end}"
        key = hashlib.blake2b(name.encode(), digest_size=24).hexdigest()
        self._target.client.post_raw(
            path_of("topics", self._target.topic, "records"),
            body,
            "application/json",
            {"acks": "all"},
            {"Idempotency-Key": f"tidelog-copy-{key}"},
        )
        if self._counted.get(partition, -1) < end:
            self._counted[partition] = end
            self.copied += len(wanted)
            self._progress.advance(len(wanted))


def _bodies(records: list[Shown], partition: int | None) -> Iterator[bytes]:
    place = b"" if partition is None else b',"partition":%d' % partition
    for record in records:
        members = [
            b'"%b":%b' % (name.encode(), record[name]) for name in _MEMBERS if name in record
        ]
        if not any(name in record for name in _MEMBERS[2:5]):
            members.append(b'"value":null')
        yield b"{%b%b}" % (b",".join(members), place)
