"""What consumers put into the opaque bytes of the classic protocol: subscription and assignment.

Kafka's ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json. Both begin with an
int16 version; a reader of an older version may read the prefix it knows of a newer one::

    subscription  version int16, topics array of string, user data nullable bytes,
                  [1+ owned partitions array of (topic string, partitions array of int32)],
                  [2+ generation int32], [3+ rack nullable string]
    assignment    version int16, partitions array of (topic string, partitions array of int32),
                  user data nullable bytes

The coordinator itself treats these bytes as opaque; it reads them only to describe a group, to
protect the offsets of subscribed topics and to assign for members that cannot do so themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidelog.consumer_groups.records import encoding
from tidelog.consumer_groups.records.encoding import Reader
from tidelog.consumer_groups.records.offsets import TopicPartition

_NO_USER_DATA = encoding.int32(-1)
_VERSION_MAX = 3


class Subscription(NamedTuple):
    topics: tuple[str, ...]
    owned: tuple[TopicPartition, ...] = ()
    generation: int = -1
    user_data: bytes = b""


def encode_subscription(subscription: Subscription) -> bytes:
    """In version 2, which carries what the cooperative and sticky assignors need."""
    return (
        encoding.int16(2)
        + encoding.array(encoding.string(topic) for topic in subscription.topics)
        + encoding.bytes_field(subscription.user_data)
        + _encode_partitions(subscription.owned)
        + encoding.int32(subscription.generation)
    )


def decode_subscription(data: bytes) -> Subscription:
    """Raises ValueError where the bytes are none of a consumer's."""
    reader = Reader(data)
    version = reader.int16()
    topics = tuple(reader.array(reader.string))
    user_data = reader.bytes_field()
    owned: tuple[TopicPartition, ...] = ()
    generation = -1
    if version >= 1:
        owned = _decode_partitions(reader)
    if version >= 2:
        generation = reader.int32()
    return Subscription(topics, owned, generation, user_data)


def encode_assignment(partitions: Iterable[TopicPartition], version: int = 1) -> bytes:
    return encoding.int16(version) + _encode_partitions(partitions) + _NO_USER_DATA


def assignment_version(subscription: bytes) -> int:
    """The version of assignments that a member with this subscription reads."""
    return min(Reader(subscription).int16(), _VERSION_MAX)


def decode_assignment(data: bytes) -> tuple[TopicPartition, ...]:
    """Raises ValueError where the bytes are none of a consumer's; none at all is no partition."""
    if not data:
        return ()
    reader = Reader(data)
    reader.int16()
    return _decode_partitions(reader)


def assignor_data(assignment: bytes) -> bytes:
    """What the assignor has to say beside the partitions. Raises ValueError as above."""
    if not assignment:
        return b""
    reader = Reader(assignment)
    reader.int16()
    _decode_partitions(reader)
    return reader.bytes_field()


def topics_of(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """All topics that the subscriptions name; None where one of them cannot be read."""
    topics: set[str] = set()
    try:
        for data in subscriptions:
            reader = Reader(data)
            reader.int16()
            topics.update(reader.array(reader.string))
    except ValueError:
        return None
    return frozenset(topics)


def _encode_partitions(partitions: Iterable[TopicPartition]) -> bytes:
    by_topic: dict[str, list[int]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(partition)
    return encoding.array(
        encoding.string(topic) + _encode_numbers(numbers) for topic, numbers in by_topic.items()
    )


def _encode_numbers(numbers: Sequence[int]) -> bytes:
    return encoding.array(encoding.int32(number) for number in numbers)


def _decode_partitions(reader: Reader) -> tuple[TopicPartition, ...]:
    def topic_partitions() -> list[TopicPartition]:
        topic = reader.string()
        return [(topic, partition) for partition in reader.array(reader.int32)]

    return tuple(pair for pairs in reader.array(topic_partitions) for pair in pairs)
