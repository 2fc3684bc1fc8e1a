"""Idempotency keys: a request that comes again is known by what the log has kept of it.

The key is hashed to a producer id of a reserved range; what the request says, and the number of
partitions that its records were spread over, to an epoch and a first sequence number. These lie
in the header of every batch that the request became, and in the snapshots of producers: they
survive a crash as the records do, and are forgotten as those of other producers are, by age and
count.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from tidelog.api.errors import IDEMPOTENCY_KEY_REUSED, ApiError
from tidelog.api.rest.records.produce_body import Produced
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record import pack_records
from tidelog.storage.batches.record_batch import MAX_SEQUENCE

_RESERVED_IDS = 1 << 62
"""Producer ids from here on stand for idempotency keys; no block of the catalog reaches it."""
_EPOCHS = 1 << 15
_SEQUENCES = 1 << 30
"""First sequence numbers; what a request can hold follows without wrapping."""


class Producing(NamedTuple):
    """The identity of an idempotent producer and the sequence of its first record."""

    producer_id: int
    epoch: int
    sequence: int

    def after(self, records: int) -> Producing:
        """The same producer, so many records later."""
        return self._replace(sequence=(self.sequence + records) & MAX_SEQUENCE)


class KeyedRequest(NamedTuple):
    """A request with an idempotency key: who stands for it, and how its records are spread."""

    producing: Producing
    partitions: int
    """How many the topic had when the request came for the first time."""


def recognise(topic: Topic, key: str, produced: Produced) -> KeyedRequest:
    """The request as it was the first time, or as a first one; times that it does not say are -1.

    Raises ApiError where the topic remembers the key with another request.
    """
    producer_id = _RESERVED_IDS | _hash(key.encode()) >> 2
    found = [partition.producer(producer_id) for partition in topic.partitions]
    marks = {(one.epoch, one.batches[0].base_sequence) for one in found if one is not None}
    said = _said(produced)
    # With more partitions than there were, the records would go elsewhere than they are.
    for count in range(len(topic.partitions), 0, -1):
        epoch, sequence = _mark(said, count)
        if marks <= {(epoch, sequence)}:
            return KeyedRequest(Producing(producer_id, epoch, sequence), count)
    message = (
        f"Idempotency-Key {key!r} was used before, with another request; nothing was written: "
        "repeat the first request as it was, or choose another key"
    )
    raise ApiError(422, IDEMPOTENCY_KEY_REUSED, message, idempotency_key=key)


def _said(produced: Produced) -> bytes:
    """A digest of what the records say, the partitions that they name included."""
    records, named = produced
    packed, _ = pack_records(records)
    rest = f"{records[0][0]} {sorted(named.items())} ".encode()
    return hashlib.blake2b(rest + packed, digest_size=32).digest()


def _mark(said: bytes, partitions: int) -> tuple[int, int]:
    """Epoch and first sequence number."""
    number = _hash(said + b"%d" % partitions)
    return number % _EPOCHS, number // _EPOCHS % _SEQUENCES


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
