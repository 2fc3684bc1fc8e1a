"""What a topic's settings let into its log: rules on batches beyond their being sound."""

from __future__ import annotations

from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import BatchHeader, decode_records
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import (
    CorruptBatch,
    DecompressionTooLarge,
    InvalidRecord,
    InvalidTimestamp,
)
from tidelog.storage.log_settings import LogSettings

_NO_TIMESTAMP = -1


def check_timestamps(
    data: Buffer, position: int, header: BatchHeader, settings: LogSettings, now_ms: int
) -> None:
    """Refuse records too far from the broker's time; those without a time (-1) are let in.

    The header tells whether one is too far ahead. Only a topic that bounds how far behind a time
    may lie has every record looked at. Raises InvalidTimestamp, InvalidRecord.
    """
    after, before = settings.timestamp_after_max_ms, settings.timestamp_before_max_ms
    is_ahead = header.max_timestamp - now_ms > after
    if not is_ahead and before >= now_ms:
        return
    times = [record.timestamp for record in _records(data, position)]
    ahead = [index for index, time in enumerate(times) if time - now_ms > after]
    if ahead or is_ahead:
        time = times[ahead[0]] if ahead else header.max_timestamp
        reason = f"more than message.timestamp.after.max.ms={after} ahead"
        raise InvalidTimestamp(time, now_ms, reason, ahead)
    behind = [
        index
        for index, time in enumerate(times)
        if now_ms - time > before and time != _NO_TIMESTAMP
    ]
    if behind:
        reason = f"more than message.timestamp.before.max.ms={before} behind"
        raise InvalidTimestamp(times[behind[0]], now_ms, reason, behind)


def check_keys(data: Buffer, headers: list[BatchHeader]) -> None:
    """Refuse records without a key, for a compacted topic. Raises InvalidRecord."""
    position = index = 0
    without = []
    for header in headers:
        for record in _records(data, position):
            if record.key is None:
                without.append(index)
            index += 1
        position += header.size
    if without:
        raise InvalidRecord("a compacted topic needs a key in every record", without)


def _records(data: Buffer, position: int) -> list[Record]:
    """Raises InvalidRecord where they cannot be read: to send them again would change nothing."""
    try:
        return decode_records(data, position=position)
    except (CorruptBatch, DecompressionTooLarge) as error:
        raise InvalidRecord(str(error)) from error
