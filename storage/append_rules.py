"""What a topic's settings let into its log: rules on batches beyond their being sound."""

from __future__ import annotations

from tidelog.storage.errors import InvalidRecord, InvalidTimestamp
from tidelog.storage.files import Buffer
from tidelog.storage.log_settings import LogSettings
from tidelog.storage.record_batch import BatchHeader, decode_records


def check_timestamps(header: BatchHeader, settings: LogSettings, now_ms: int) -> None:
    """Refuse a batch too far from the broker's time. Raises InvalidTimestamp."""
    if header.max_timestamp - now_ms > settings.timestamp_after_max_ms:
        limit = settings.timestamp_after_max_ms
        reason = f"more than message.timestamp.after.max.ms={limit} ahead"
        raise InvalidTimestamp(header.max_timestamp, now_ms, reason)
    if now_ms - header.base_timestamp > settings.timestamp_before_max_ms:
        limit = settings.timestamp_before_max_ms
        reason = f"more than message.timestamp.before.max.ms={limit} behind"
        raise InvalidTimestamp(header.base_timestamp, now_ms, reason)


def check_keys(data: Buffer, headers: list[BatchHeader]) -> None:
    """Refuse records without a key, for a compacted topic. Raises InvalidRecord."""
    position = index = 0
    without = []
    for header in headers:
        for record in decode_records(data, position=position):
            if record.key is None:
                without.append(index)
            index += 1
        position += header.size
    if without:
        raise InvalidRecord("a compacted topic needs a key in every record", without)
