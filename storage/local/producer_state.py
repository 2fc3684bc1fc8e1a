"""Idempotence: what each producer has appended to one partition.

A batch of an idempotent producer carries (producer id, epoch, base sequence). The last five
batches of each producer are remembered: one that comes again is a duplicate and is answered with
the offsets of the first time; a sequence that does not follow is refused. Rules are those of
Apache Kafka's ``ProducerAppendInfo.java``; with no state any first sequence is accepted, because
retention may have removed it.

The ``.snapshot`` file (``ProducerSnapshot.json``, big-endian), named by the offset it covers::

    0  version  int16   1
    2  crc      uint32  CRC-32C of everything after this field
    6  count    int32
    then 46 bytes for each batch, those of a producer in order: producer id int64, epoch int16,
    last sequence int32, last offset int64, offset delta int32, timestamp int64 ms,
    coordinator epoch int32, first offset of the open transaction int64 (-1: none)

Apache Kafka writes the last batch of each producer only; of several that it reads the last counts.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

from crc32c import crc32c

from tidelog.storage.batches.record_batch import MAX_SEQUENCE, BatchHeader
from tidelog.storage.errors import InvalidProducerEpoch, OutOfOrderSequence

_PREFIX = struct.Struct(">hI")
_COUNT = struct.Struct(">i")
_ENTRY = struct.Struct(">qhiqiqiq")
_VERSION = 1
BATCHES_KEPT = 5
PRODUCERS_MAX = 100_000


class ProducedBatch(NamedTuple):
    """One remembered batch: its sequences and the offsets it was given."""

    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int


class Producer:
    """The state of one producer id; ``seen_ms`` is when it last appended."""

    __slots__ = ("batches", "epoch", "seen_ms")

    def __init__(self, epoch: int, seen_ms: int) -> None:
        self.epoch = epoch
        self.seen_ms = seen_ms
        self.batches: deque[ProducedBatch] = deque(maxlen=BATCHES_KEPT)


class ProducerState:
    """Producers of one partition, least recently active first; at most ``PRODUCERS_MAX``."""

    def __init__(self) -> None:
        self._producers: dict[int, Producer] = {}
        self.changed = False
        """Whether anything was noted since the last snapshot."""

    def __len__(self) -> int:
        return len(self._producers)

    def get(self, producer_id: int) -> Producer | None:
        """The producer's state, if it is remembered."""
        return self._producers.get(producer_id)

    def items(self) -> list[tuple[int, Producer]]:
        """Every producer id with its state."""
        return list(self._producers.items())

    def largest_id(self, below: int) -> int:
        """The largest producer id under ``below``; -1 if there is none."""
        return max((one for one in self._producers if one < below), default=-1)

    def check(self, header: BatchHeader) -> ProducedBatch | None:
        """The batch that this one repeats, or None when it may be appended.

        Raises OutOfOrderSequence, InvalidProducerEpoch.
        """
        producer = self._producers.get(header.producer_id)
        if producer is None:
            return None
        epoch = header.producer_epoch
        if epoch < producer.epoch:
            raise InvalidProducerEpoch(header.producer_id, epoch, producer.epoch)
        if epoch > producer.epoch:
            if header.base_sequence != 0:
                raise OutOfOrderSequence(header.producer_id, epoch, 0, header.base_sequence)
            return None
        for batch in producer.batches:
            if (
                batch.base_sequence == header.base_sequence
                and batch.last_sequence == header.last_sequence
            ):
                return batch
        if producer.batches:
            expected = (producer.batches[-1].last_sequence + 1) & MAX_SEQUENCE
            if header.base_sequence != expected:
                raise OutOfOrderSequence(header.producer_id, epoch, expected, header.base_sequence)
        return None

    def note(self, header: BatchHeader, base_offset: int, seen_ms: int) -> None:
        """Remember a batch that was appended at ``base_offset``."""
        producers = self._producers
        producer = producers.pop(header.producer_id, None)
        if producer is None or producer.epoch != header.producer_epoch:
            producer = Producer(header.producer_epoch, seen_ms)
        producer.seen_ms = seen_ms
        producer.batches.append(
            ProducedBatch(
                header.base_sequence,
                header.last_sequence,
                base_offset,
                base_offset + header.last_offset_delta,
            )
        )
        producers[header.producer_id] = producer
        if len(producers) > PRODUCERS_MAX:
            del producers[next(iter(producers))]
        self.changed = True

    def expire(self, seen_before_ms: int) -> None:
        """Forget producers that have not appended since ``seen_before_ms``."""
        gone = [id for id, producer in self._producers.items() if producer.seen_ms < seen_before_ms]
        for producer_id in gone:
            del self._producers[producer_id]
        self.changed = self.changed or bool(gone)

    def encode_snapshot(self) -> bytes:
        """The content of a ``.snapshot`` file."""
        entries = [
            _ENTRY.pack(
                producer_id,
                producer.epoch,
                batch.last_sequence,
                batch.last_offset,
                batch.last_offset - batch.base_offset,
                producer.seen_ms,
                -1,
                -1,
            )
            for producer_id, producer in self._producers.items()
            for batch in producer.batches
        ]
        rest = _COUNT.pack(len(entries)) + b"".join(entries)
        return _PREFIX.pack(_VERSION, crc32c(rest)) + rest

    @classmethod
    def decode_snapshot(cls, data: bytes) -> ProducerState:
        """Raises ValueError for anything but a whole, sound snapshot."""
        if len(data) < _PREFIX.size + _COUNT.size:
            raise ValueError("producer snapshot is too short")
        version, checksum = _PREFIX.unpack_from(data)
        rest = data[_PREFIX.size :]
        if version != _VERSION or checksum != crc32c(rest):
            raise ValueError("producer snapshot has another version or a wrong checksum")
        (count,) = _COUNT.unpack_from(rest)
        if len(rest) != _COUNT.size + count * _ENTRY.size:
            raise ValueError("producer snapshot has a wrong length")
        state = cls()
        for entry in _ENTRY.iter_unpack(rest[_COUNT.size :]):
            producer_id, epoch, last_sequence, last_offset, delta, seen_ms = entry[:6]
            producer = state._producers.get(producer_id)
            if producer is None or producer.epoch != epoch:
                producer = state._producers[producer_id] = Producer(epoch, seen_ms)
            producer.batches.append(
                ProducedBatch(
                    (last_sequence - delta) & MAX_SEQUENCE,
                    last_sequence,
                    last_offset - delta,
                    last_offset,
                )
            )
        return state
