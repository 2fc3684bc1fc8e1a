"""Records become batches, one or more for each partition, and batches become durable.

Everything is checked before anything is appended: partitions, sizes, the expected offset. The
partition of a record is the one it names, else that of its key, else one for all keyless records
of the request.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidelog.api.errors import ApiError
from tidelog.api.rest.records.idempotency import KeyedRequest, Producing
from tidelog.api.rest.records.produce_body import BadRecord, Produced, bad_records
from tidelog.broker.errors import StaleExpectedOffset
from tidelog.broker.partition import Partition
from tidelog.broker.partitioner import StickyPartitioner, partitions_for_keys
from tidelog.broker.records.reading import read_records
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record import EncodableRecord
from tidelog.storage.batches.record_batch import MAX_SEQUENCE, encode_batch
from tidelog.storage.errors import BatchTooLarge, StorageError
from tidelog.storage.local.producer_state import BATCHES_KEPT

_OVERHEAD = 61 + 5
"""Batch header, and room for what a record needs beside its own bytes."""
_RECORD_OVERHEAD = 32


@dataclass(frozen=True, slots=True)
class ProduceOptions:
    """What a request asks for beside its records."""

    acks_all: bool = True
    expected_offset: int | None = None
    idempotency_key: str | None = None
    producing: Producing | None = None


class Appended(NamedTuple):
    """Where one batch went, or has been since an earlier request."""

    partition: int
    numbers: Sequence[int]
    """Which records of the request these are, in order."""
    base_offset: int
    append_time_ms: int = -1
    """-1 where records keep their own time."""
    stored_ms: Mapping[int, int] | None = None
    """Of a batch that was there already: times by offset, without those of records gone since."""

    @property
    def end_offset(self) -> int:
        return self.base_offset + len(self.numbers)


def assign_partitions(
    topic: Topic, produced: Produced, sticky: StickyPartitioner, keyed: KeyedRequest | None
) -> list[int]:
    """The partition of each record. Raises ApiError naming records with an unknown one.

    A repeated request with an idempotency key must choose as the first did, so there the key
    decides for keyless records.
    """
    count = len(topic.partitions) if keyed is None else keyed.partitions
    records, named = produced
    bad = [n for n, partition in named.items() if partition >= len(topic.partitions)]
    if bad:
        reason = f"topic {topic.name!r} has partitions 0 to {len(topic.partitions) - 1}, not "
        raise bad_records([BadRecord(n, f"{reason}{named[n]}") for n in bad])
    if count == 1:
        return [0] * len(records)
    keyless = 0
    if keyed is not None:
        keyless = keyed.producing.producer_id % count
    elif any(record[1] is None and n not in named for n, record in enumerate(records)):
        keyless = _writable(topic, sticky.partition(count))
    chosen = partitions_for_keys([record[1] for record in records], count, keyless)
    for n, partition in named.items():
        chosen[n] = partition
    return chosen


def _writable(topic: Topic, index: int) -> int:
    """The partition at ``index`` or, where it takes no writes, the next that does."""
    following = topic.partitions[index:] + topic.partitions[:index]
    return next((one.index for one in following if one.writes_stopped is None), index)


class _Batches(NamedTuple):
    partition: Partition
    kept: list[Appended]
    """What of the request is there already, its first records."""
    numbers: list[int]
    """The records that are left."""
    encoded: list[bytearray]


async def append_records(
    topic: Topic, produced: Produced, chosen: Sequence[int], options: ProduceOptions
) -> list[Appended]:
    """Append all records; where the batches that they became went.

    Raises ApiError, StaleExpectedOffset, BatchTooLarge before anything is written, storage errors
    while it is.
    """
    prepared = _encode(topic, produced.records, chosen, options)
    if options.expected_offset is not None:
        _check_expected(prepared, options.expected_offset)
    appended: list[Appended] = []
    waits = []
    for partition, kept, numbers, encoded in prepared:
        appended += kept
        end = kept[-1].end_offset if kept else 0
        first = 0
        for batch in encoded:
            result = partition.append(batch)
            end = result.last_offset + 1
            after = first + end - result.base_offset
            place = partition.index, numbers[first:after], result.base_offset
            stored_ms: dict[int, int] | None = {} if result.duplicate else None
            appended.append(Appended(*place, result.log_append_time_ms, stored_ms))
            first = after
        if options.acks_all:
            waits.append(partition.flushed(end))
    if len(waits) == 1:
        await waits[0]
    elif waits:
        await asyncio.gather(*waits)
    if options.producing is not None:
        return [await _with_times(topic, one) for one in appended]
    return appended


async def _with_times(topic: Topic, one: Appended) -> Appended:
    """With the times of records that were there already, which are not those of the request."""
    if one.stored_ms is None:
        return one
    partition = topic.partition(one.partition)
    count = len(one.numbers)
    try:
        start = max(one.base_offset, partition.start_offset)
        records, _ = await read_records(partition, start, count, 2**62)
    except StorageError:
        # They are as durable as they were, but retention has just taken them, or damage did.
        return one
    return one._replace(stored_ms={record.offset: record.timestamp for record in records})


def _encode(
    topic: Topic,
    records: Sequence[EncodableRecord],
    chosen: Sequence[int],
    options: ProduceOptions,
) -> list[_Batches]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, index in enumerate(chosen):
        groups[index].append(number)
    is_keyed = options.idempotency_key is not None
    if options.producing is not None and not is_keyed and len(groups) > 1:
        message = "with Producer-Sequence all records of a request go to one partition"
        raise ApiError(422, "invalid_parameter", message)
    limit = topic.settings["max.message.bytes"]
    prepared = []
    for index, numbers in groups.items():
        partition, producing = topic.partition(index), options.producing
        kept: list[Appended] = []
        if producing is not None and is_keyed:
            kept = _kept(partition, numbers, producing)
            done = sum(len(one.numbers) for one in kept)
            numbers, producing = numbers[done:], producing.after(done)
        encoded = _encode_group([records[n] for n in numbers], limit, producing) if numbers else []
        if producing is not None and len(kept) + len(encoded) > BATCHES_KEPT:
            message = "the records of one partition are too many bytes to be retried safely"
            raise ApiError(413, "body_too_large", message, limit=limit * BATCHES_KEPT)
        prepared.append(_Batches(partition, kept, numbers, encoded))
    return prepared


def _kept(partition: Partition, numbers: list[int], producing: Producing) -> list[Appended]:
    """What a request with an idempotency key has written to a partition before."""
    known = partition.producer(producing.producer_id)
    if known is None:
        return []
    kept = []
    for base_sequence, last_sequence, base_offset, _ in known.batches:
        first, last = base_sequence - producing.sequence, last_sequence - producing.sequence
        of_batch = numbers[first : last + 1]
        kept.append(Appended(partition.index, of_batch, base_offset, stored_ms={}))
    return kept


def _encode_group(
    records: list[EncodableRecord], limit: int, producing: Producing | None
) -> list[bytearray]:
    """As few batches as fit ``limit``, usually one. Raises BatchTooLarge."""
    producer_id, epoch, sequence = producing or (-1, -1, -1)

    def encode(part: list[EncodableRecord], first: int) -> bytearray:
        return encode_batch(
            part,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=(sequence + first) & MAX_SEQUENCE if sequence >= 0 else -1,
        )

    whole = encode(records, 0)
    if len(whole) <= limit:
        return [whole]
    batches: list[bytearray] = []
    first, size = 0, _OVERHEAD
    for number, (_, key, value, headers) in enumerate(records):
        need = len(key or b"") + len(value or b"") + _RECORD_OVERHEAD
        need += sum(len(name) + len(content or b"") + 10 for name, content in headers)
        if size + need > limit and number > first:
            batches.append(encode(records[first:number], first))
            first, size = number, _OVERHEAD
        size += need
    batches.append(encode(records[first:], first))
    for batch in batches:
        if len(batch) > limit:
            raise BatchTooLarge(len(batch), limit)
    return batches


def _check_expected(prepared: list[_Batches], expected: int) -> None:
    """Of a request that comes again the first records met what was expected the first time."""
    if len(prepared) > 1:
        message = "with If-Match-Offset all records of a request go to one partition"
        raise ApiError(422, "invalid_parameter", message)
    partition, kept, _, encoded = prepared[0]
    if kept or partition.repeats(encoded[0]):
        return
    if partition.end_offset != expected:
        raise StaleExpectedOffset(partition.topic, partition.index, expected, partition.end_offset)
