"""What keeps the records of partitions: the protocol that a partition speaks to.

The local engine (``broker/local``) keeps them in segments on this machine's disk. Nothing above
this page may assume that there is a file.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tidelog.storage.buffers import Buffer, StoredBytes, WritableBuffer
from tidelog.storage.local.log_state import AppendResult, Cut, LogRead
from tidelog.storage.local.producer_state import ProducerState
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings


class Found(NamedTuple):
    """Whole batches that nobody has read yet, and the offset that follows them."""

    data: StoredBytes
    next_offset: int


class LogFacts(NamedTuple):
    """What administrators ask of a log."""

    segments: int
    cleaned_offset: int
    """Compaction has read everything below it."""
    settings: LogSettings
    producers: ProducerState
    damage: list[Cut]
    """What recovery found and no administrator has acknowledged."""


class PartitionLog(Protocol):
    """The records of one partition, from ``start_offset`` to ``end_offset`` (exclusive).

    Methods that end in ``_now`` answer in the same step of the event loop; those that read raise
    BlockingIOError where they would have to wait.
    """

    @property
    def topic(self) -> str: ...

    @property
    def partition(self) -> int: ...

    @property
    def where(self) -> str:
        """The place of the records, for people."""
        ...

    @property
    def start_offset(self) -> int: ...

    @property
    def end_offset(self) -> int: ...

    @property
    def flushed_offset(self) -> int:
        """Everything below it is on stable storage."""
        ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def unsealed_bytes(self) -> int:
        """Of the segment that is still written to: neither retention nor compaction takes them."""
        ...

    @property
    def leader_epoch(self) -> int: ...

    @property
    def writes_stopped(self) -> str | None:
        """Why no more writes are taken, or None while they are."""
        ...

    @property
    def offline(self) -> str | None:
        """Why nothing can be read or written, or None."""
        ...

    def append_now(self, data: WritableBuffer, now_ms: int) -> AppendResult:
        """Check, stamp in place and write whole batches, all or none. Raises storage errors."""
        ...

    async def durable(self, next_offset: int) -> None:
        """Return when everything below ``next_offset`` is on stable storage.

        Raises WritesStopped, TooManyOpenFiles.
        """
        ...

    def repeats(self, batch: Buffer) -> bool:
        """Whether it is the batch of an idempotent producer that is there already.

        Raises OutOfOrderSequence, InvalidProducerEpoch.
        """
        ...

    def find_now(self, offset: int, max_bytes: int) -> Found:
        """Whole batches from the one that holds ``offset``, at least one if there is one."""
        ...

    async def find(self, offset: int, max_bytes: int) -> Found:
        """As ``find_now``. Raises OffsetOutOfRange, CorruptBatch, DiskFailed, TooManyOpenFiles."""
        ...

    async def load(self, data: StoredBytes) -> Buffer:
        """The bytes of what was found. Raises DiskFailed."""
        ...

    def read_now(self, offset: int, max_bytes: int) -> LogRead:
        """As ``find_now``, and the bytes."""
        ...

    async def read(self, offset: int, max_bytes: int) -> LogRead:
        """As ``find``, and the bytes."""
        ...

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp`` (ms)."""
        ...

    async def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with the largest timestamp."""
        ...

    async def timestamp_at(self, offset: int) -> int | None:
        """When the first record at or after ``offset`` was written (ms), None at the end."""
        ...

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        """The last epoch up to ``epoch`` that the log knows, and the offset at which it ended."""
        ...

    async def delete_before(self, offset: int) -> None:
        """Make ``offset`` the first readable one, durably; what lies wholly below it goes."""
        ...

    async def segments(self) -> list[SegmentInfo]:
        """What is kept and let go as one, oldest first."""
        ...

    def segment_end(self, offset: int) -> int:
        """Where the segment that holds ``offset`` ends."""
        ...

    def seal(self) -> None:
        """Begin a new segment. Raises DiskFull, TooManyOpenFiles, WritesStopped."""
        ...

    def use_settings(self, settings: LogSettings) -> None:
        """Take the topic's changed settings."""
        ...

    def facts(self) -> LogFacts: ...

    def acknowledge_damage(self) -> None:
        """Stop reporting the damage; the bytes stay kept."""
        ...

    def delete(self) -> None:
        """Its topic is gone: nothing is begun any more."""
        ...
