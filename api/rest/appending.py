"""Records become batches, one or more for each partition, and batches become durable.

Everything is checked before anything is appended: partitions, sizes, the expected offset. The
partition of a record is the one it names, else that of its key, else one for all keyless records
of the request.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidelog.api.errors import ApiError
from tidelog.api.rest.produce_body import BadRecord, Produced, bad_records
from tidelog.broker.errors import StaleExpectedOffset
from tidelog.broker.partition import Partition
from tidelog.broker.partitioner import StickyPartitioner, partitions_for_keys
from tidelog.broker.topic import Topic
from tidelog.storage.errors import BatchTooLarge
from tidelog.storage.producer_state import BATCHES_KEPT
from tidelog.storage.record import EncodableRecord
from tidelog.storage.record_batch import encode_batch

_OVERHEAD = 61 + 5
"""Batch header, and room for what a record needs beside its own bytes."""
_RECORD_OVERHEAD = 32
_IDEMPOTENCY_IDS = 1 << 62
"""Producer ids from here on are hashes of idempotency keys; no block of the catalog reaches it."""


class Producing(NamedTuple):
    """The identity of an idempotent producer and the sequence of its first record."""

    producer_id: int
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class ProduceOptions:
    """What a request asks for beside its records."""

    acks_all: bool = True
    expected_offset: int | None = None
    idempotency_key: str | None = None
    producing: Producing | None = None


class Appended(NamedTuple):
    """Where one batch went; ``duplicate``: it was there already."""

    partition: int
    numbers: Sequence[int]
    """Which records of the request these are, in order."""
    base_offset: int
    append_time_ms: int
    """-1 where records keep their own time."""
    duplicate: bool


def idempotent_producer(key: str) -> Producing:
    """The producer that stands for an idempotency key: the log itself remembers it."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return Producing(_IDEMPOTENCY_IDS | int.from_bytes(digest, "big") >> 2, 0, 0)


def assign_partitions(
    topic: Topic, produced: Produced, sticky: StickyPartitioner, idempotency_key: str | None
) -> list[int]:
    """The partition of each record. Raises ApiError naming records with an unknown one.

    A repeated request with an idempotency key must choose as the first did, so there the key
    decides for keyless records.
    """
    count = len(topic.partitions)
    records, named = produced
    bad = [n for n, partition in named.items() if partition >= count]
    if bad:
        reason = f"topic {topic.name!r} has partitions 0 to {count - 1}, not "
        raise bad_records([BadRecord(n, f"{reason}{named[n]}") for n in bad])
    if count == 1:
        return [0] * len(records)
    keyless = 0
    if idempotency_key is not None:
        keyless = idempotent_producer(idempotency_key).producer_id % count
    elif any(record[1] is None and n not in named for n, record in enumerate(records)):
        keyless = sticky.partition(count)
    chosen = partitions_for_keys([record[1] for record in records], count, keyless)
    for n, partition in named.items():
        chosen[n] = partition
    return chosen


class _Batches(NamedTuple):
    partition: Partition
    numbers: list[int]
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
    for partition, numbers, encoded in prepared:
        first = 0
        for batch in encoded:
            result = partition.append(batch)
            end = result.last_offset + 1
            after = first + end - result.base_offset
            place = partition.index, numbers[first:after], result.base_offset
            appended.append(Appended(*place, result.log_append_time_ms, result.duplicate))
            first = after
        if options.acks_all:
            waits.append(partition.flushed(end))
    if len(waits) == 1:
        await waits[0]
    elif waits:
        await asyncio.gather(*waits)
    return appended


def _encode(
    topic: Topic,
    records: Sequence[EncodableRecord],
    chosen: Sequence[int],
    options: ProduceOptions,
) -> list[_Batches]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, partition in enumerate(chosen):
        groups[partition].append(number)
    producing = options.producing
    if options.idempotency_key is not None:
        producing = idempotent_producer(options.idempotency_key)
    elif producing is not None and len(groups) > 1:
        message = "with Producer-Sequence all records of a request go to one partition"
        raise ApiError(422, "invalid_parameter", message)
    limit = topic.settings["max.message.bytes"]
    prepared = []
    for partition, numbers in groups.items():
        encoded = _encode_group([records[n] for n in numbers], limit, producing)
        if producing is not None and len(encoded) > BATCHES_KEPT:
            message = "the records of one partition are too many bytes to be retried safely"
            raise ApiError(413, "body_too_large", message, limit=limit * BATCHES_KEPT)
        prepared.append(_Batches(topic.partition(partition), numbers, encoded))
    return prepared


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
            base_sequence=sequence + first if sequence >= 0 else -1,
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
    if len(prepared) > 1:
        message = "with If-Match-Offset all records of a request go to one partition"
        raise ApiError(422, "invalid_parameter", message)
    partition = prepared[0].partition
    if partition.end_offset != expected:
        raise StaleExpectedOffset(partition.topic, partition.index, expected, partition.end_offset)
