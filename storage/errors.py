"""What can go wrong with bytes on disk or bytes offered for disk.

Every class carries its data as attributes, so that each door can phrase its own answer;
``api/errors.py`` is the one table that does.
"""

from __future__ import annotations

from collections.abc import Sequence


class StorageError(Exception):
    """Base of every error raised by this package."""


class OffsetOutOfRange(StorageError):
    """The offset is below the first readable record or beyond the end of the log."""

    def __init__(self, offset: int, start_offset: int, end_offset: int) -> None:
        super().__init__(
            f"offset {offset} is out of range: readable offsets are {start_offset} to {end_offset}"
        )
        self.offset = offset
        self.start_offset = start_offset
        self.end_offset = end_offset


class CorruptBatch(StorageError):
    """Bytes that are not a valid record batch; ``path`` is None when they came from outside."""

    def __init__(self, reason: str, path: str | None = None, position: int | None = None) -> None:
        place = "" if path is None else f" in {path}"
        where = "" if position is None else f" at byte {position}"
        super().__init__(f"corrupt record batch{place}{where}: {reason}")
        self.reason = reason
        self.path = path
        self.position = position


class UnreadableBatch(StorageError):
    """A stored batch of which no records can be had; a reader can go on at ``next_offset``.

    ``damaged``: its bytes are not those that were written. ``timestamp`` is that of its first
    record, ms, where it is known.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        next_offset: int,
        reason: str,
        *,
        timestamp: int | None = None,
        damaged: bool = False,
    ) -> None:
        offsets = f"offsets {offset} to {next_offset - 1} of {topic}-{partition}"
        super().__init__(f"{offsets} cannot be read: {reason}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.next_offset = next_offset
        self.reason = reason
        self.timestamp = timestamp
        self.damaged = damaged


class InvalidRecord(StorageError):
    """A well-formed batch that this log does not accept, because of the records ``indexes``."""

    def __init__(self, reason: str, indexes: Sequence[int] = ()) -> None:
        shown = ", ".join(map(str, indexes[:3])) + (", ..." if len(indexes) > 3 else "")
        super().__init__(f"record {shown}: {reason}" if indexes else reason)
        self.reason = reason
        self.indexes = tuple(indexes)


class InvalidTimestamp(StorageError):
    """A record's timestamp is further from the broker's clock than allowed: that of ``indexes``."""

    def __init__(
        self, timestamp: int, now_ms: int, reason: str, indexes: Sequence[int] = ()
    ) -> None:
        super().__init__(f"timestamp {timestamp} is refused at broker time {now_ms}: {reason}")
        self.indexes = tuple(indexes)
        self.timestamp = timestamp
        self.now_ms = now_ms
        self.reason = reason


class BatchTooLarge(StorageError):
    """A batch is larger than ``max.message.bytes``."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the batch has {size} bytes; max.message.bytes is {limit}")
        self.size = size
        self.limit = limit


class UnsupportedCodec(StorageError):
    """The compression codec of a batch is unknown."""

    def __init__(self, codec: int) -> None:
        super().__init__(f"compression codec {codec} is unknown")
        self.codec = codec


class DecompressionTooLarge(StorageError):
    """Compressed bytes would expand beyond the limit for one batch."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"compressed data expands to more than {limit} bytes")
        self.limit = limit


class OutOfOrderSequence(StorageError):
    """An idempotent producer skipped or repeated sequence numbers."""

    def __init__(self, producer_id: int, epoch: int, expected: int, got: int) -> None:
        super().__init__(
            f"producer {producer_id} epoch {epoch}: expected sequence {expected}, got {got}"
        )
        self.producer_id = producer_id
        self.epoch = epoch
        self.expected = expected
        self.got = got


class InvalidProducerEpoch(StorageError):
    """A producer with an older epoch than the current one is fenced."""

    def __init__(self, producer_id: int, epoch: int, current: int) -> None:
        super().__init__(f"producer {producer_id}: epoch {epoch} is fenced by epoch {current}")
        self.producer_id = producer_id
        self.epoch = epoch
        self.current = current


class DiskFull(StorageError):
    """A write did not fit; the file was put back as it was."""

    def __init__(self, path: str, reason: str = "No space left on device") -> None:
        super().__init__(f"{path} cannot be written: {reason}")
        self.path = path
        self.reason = reason


class TooManyOpenFiles(StorageError):
    """A file could not be opened because this process, or the system, has as many as it may."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} cannot be opened: too many files are open; "
            "the limit of open files (ulimit -n) may be raised"
        )
        self.path = path


class DiskFailed(StorageError):
    """The operating system refused to read or change something; the reason is its own word."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class WritesStopped(StorageError):
    """The log accepts no writes because the disk failed to keep earlier ones."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"writing has stopped: {reason}")
        self.reason = reason


class DirectoryInUse(StorageError):
    """Another process holds the data directory."""

    def __init__(self, path: str, pid: int | None = None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"data directory {path} is in use by {holder}")
        self.path = path
        self.pid = pid


class DirectoryUnreadable(StorageError):
    """The data directory cannot be used; the reason says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"data directory {path} cannot be used: {reason}")
        self.path = path
        self.reason = reason
