"""The records of groups of the new protocol (KIP-848) in ``__consumer_offsets``.

Drawn after Apache Kafka 4.3's group-coordinator message definitions (ConsumerGroup*.json). Keys
begin with an int16 kind, then the group and, where a record is of a member, its id; values begin
with an int16 version, 0, and use compact types::

    3   group                 epoch int32; tag 0: metadata hash int64
    5   member subscription   instance id, rack id nullable strings, client id, client host strings,
                              topic names array of string, topic regex nullable string,
                              rebalance timeout int32, assignor nullable string;
                              tag 0: struct that is a classic member's
    6   target metadata       assignment epoch int32; tag 0: timestamp int64
    7   target of a member    array of (topic id uuid, partitions array of int32)
    8   current assignment    member epoch int32, previous epoch int32, state int8,
                              assigned, pending revocation: arrays of (topic id uuid, partitions
                              array of int32; tag 0: assignment epochs array of int32)
    16  regular expression    topics array of string, version int64, timestamp int64
                              (its key ends with the expression)

Kind 4, the partitions of subscribed topics, was written before Kafka 4.1 and says nothing that the
catalog does not know; it is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.records import encoding
from tidelog.consumer_groups.records.encoding import Reader

TopicIdPartition = tuple[UUID, int]

GROUP_KIND = 3
SUBSCRIPTION_KIND = 5
TARGET_EPOCH_KIND = 6
TARGET_KIND = 7
CURRENT_KIND = 8
REGEX_KIND = 16
_NO_HASH = 0
_VERSION = encoding.int16(0)


class MemberState(IntEnum):
    """Where a member is on its way from its present assignment to its target."""

    STABLE = 0
    UNREVOKED_PARTITIONS = 1
    UNRELEASED_PARTITIONS = 2


class GroupEpoch(NamedTuple):
    epoch: int
    metadata_hash: int = _NO_HASH
    """Of the topics that are subscribed to: when it changes there is something to assign."""


class ClassicMetadata(NamedTuple):
    """What a member said that takes part through the classic protocol."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]


class MemberSubscription(NamedTuple):
    instance_id: str | None
    rack_id: str | None
    client_id: str
    client_host: str
    topic_names: tuple[str, ...]
    topic_regex: str | None
    rebalance_timeout_ms: int
    assignor: str | None
    classic: ClassicMetadata | None = None


class TargetEpoch(NamedTuple):
    epoch: int
    timestamp_ms: int = 0


class CurrentAssignment(NamedTuple):
    member_epoch: int
    previous_epoch: int
    state: MemberState
    assigned: Mapping[TopicIdPartition, int]
    """Partitions, each with the epoch in which the member got it."""
    revoking: Mapping[TopicIdPartition, int]


class ResolvedRegex(NamedTuple):
    topics: tuple[str, ...]
    version: int
    timestamp_ms: int


class GroupEpochRecord(NamedTuple):
    group: str
    value: GroupEpoch | None


class SubscriptionRecord(NamedTuple):
    group: str
    member_id: str
    value: MemberSubscription | None


class TargetEpochRecord(NamedTuple):
    group: str
    value: TargetEpoch | None


class TargetRecord(NamedTuple):
    group: str
    member_id: str
    value: frozenset[TopicIdPartition] | None


class CurrentRecord(NamedTuple):
    group: str
    member_id: str
    value: CurrentAssignment | None


class RegexRecord(NamedTuple):
    group: str
    regex: str
    value: ResolvedRegex | None


ConsumerGroupRecord = (
    GroupEpochRecord
    | SubscriptionRecord
    | TargetEpochRecord
    | TargetRecord
    | CurrentRecord
    | RegexRecord
)


def encode(record: ConsumerGroupRecord) -> tuple[bytes, bytes | None]:
    """Key and value; a tombstone has no value."""
    match record:
        case GroupEpochRecord(_, value):
            kind, body = GROUP_KIND, None if value is None else _encode_group(value)
        case SubscriptionRecord(_, _, value):
            kind, body = SUBSCRIPTION_KIND, None if value is None else _encode_subscription(value)
        case TargetEpochRecord(_, value):
            kind, body = TARGET_EPOCH_KIND, None if value is None else _encode_target_epoch(value)
        case TargetRecord(_, _, value):
            kind, body = TARGET_KIND, None if value is None else _encode_target(value)
        case CurrentRecord(_, _, value):
            kind, body = CURRENT_KIND, None if value is None else _encode_current(value)
        case RegexRecord(_, _, value):
            kind, body = REGEX_KIND, None if value is None else _encode_regex(value)
    key = encoding.int16(kind) + b"".join(encoding.string(part) for part in record[:-1])
    return key, None if body is None else _VERSION + body


def decode(kind: int, key: Reader, value: bytes | None) -> ConsumerGroupRecord | None:
    """The record of a kind in 3 to 16, or None for one not known here. Raises ValueError."""
    body = None
    if value is not None:
        body = Reader(value)
        if (version := body.int16()) != 0:
            raise ValueError(f"a record of kind {kind} and version {version} is not known")
    if kind == GROUP_KIND:
        return GroupEpochRecord(key.string(), None if body is None else _decode_group(body))
    if kind == TARGET_EPOCH_KIND:
        epoch = None if body is None else _decode_target_epoch(body)
        return TargetEpochRecord(key.string(), epoch)
    if kind == SUBSCRIPTION_KIND:
        subscription = None if body is None else _decode_subscription(body)
        return SubscriptionRecord(key.string(), key.string(), subscription)
    if kind == TARGET_KIND:
        target = None if body is None else frozenset(_decode_partitions(body))
        return TargetRecord(key.string(), key.string(), target)
    if kind == CURRENT_KIND:
        current = None if body is None else _decode_current(body)
        return CurrentRecord(key.string(), key.string(), current)
    if kind == REGEX_KIND:
        regex = None if body is None else _decode_regex(body)
        return RegexRecord(key.string(), key.string(), regex)
    return None


def _encode_group(value: GroupEpoch) -> bytes:
    tags = {} if value.metadata_hash == _NO_HASH else {0: encoding.int64(value.metadata_hash)}
    return encoding.int32(value.epoch) + encoding.tagged_fields(tags)


def _decode_group(body: Reader) -> GroupEpoch:
    epoch, tags = body.int32(), body.tagged_fields()
    return GroupEpoch(epoch, Reader(tags[0]).int64() if 0 in tags else _NO_HASH)


def _encode_target_epoch(value: TargetEpoch) -> bytes:
    tags = {} if value.timestamp_ms == 0 else {0: encoding.int64(value.timestamp_ms)}
    return encoding.int32(value.epoch) + encoding.tagged_fields(tags)


def _decode_target_epoch(body: Reader) -> TargetEpoch:
    epoch, tags = body.int32(), body.tagged_fields()
    return TargetEpoch(epoch, Reader(tags[0]).int64() if 0 in tags else 0)


def _encode_subscription(value: MemberSubscription) -> bytes:
    return (
        encoding.compact_nullable_string(value.instance_id)
        + encoding.compact_nullable_string(value.rack_id)
        + encoding.compact_string(value.client_id)
        + encoding.compact_string(value.client_host)
        + encoding.compact_array(map(encoding.compact_string, value.topic_names))
        + encoding.compact_nullable_string(value.topic_regex)
        + encoding.int32(value.rebalance_timeout_ms)
        + encoding.compact_nullable_string(value.assignor)
        + encoding.tagged_fields({0: _encode_classic(value.classic)})
    )


def _encode_classic(value: ClassicMetadata | None) -> bytes:
    """A nullable struct: the first byte says whether it is there."""
    if value is None:
        return b"\x00"
    return (
        b"\x01"
        + encoding.int32(value.session_timeout_ms)
        + encoding.compact_array(
            encoding.compact_string(name)
            + encoding.compact_bytes(metadata)
            + encoding.tagged_fields({})
            for name, metadata in value.protocols
        )
        + encoding.tagged_fields({})
    )


def _decode_subscription(body: Reader) -> MemberSubscription:
    instance_id, rack_id = body.compact_nullable_string(), body.compact_nullable_string()
    client_id, client_host = body.compact_string(), body.compact_string()
    topic_names = tuple(body.compact_array(body.compact_string))
    topic_regex, rebalance_timeout_ms = body.compact_nullable_string(), body.int32()
    assignor, tags = body.compact_nullable_string(), body.tagged_fields()
    return MemberSubscription(
        instance_id,
        rack_id,
        client_id,
        client_host,
        topic_names,
        topic_regex,
        rebalance_timeout_ms,
        assignor,
        _decode_classic(tags[0]) if 0 in tags else None,
    )


def _decode_classic(data: bytes) -> ClassicMetadata | None:
    body = Reader(data)
    if body.varint() == 0:
        return None
    session_timeout_ms = body.int32()

    def protocol() -> tuple[str, bytes]:
        name, metadata = body.compact_string(), body.compact_bytes()
        body.tagged_fields()
        return name, metadata

    return ClassicMetadata(session_timeout_ms, tuple(body.compact_array(protocol)))


def _encode_target(value: frozenset[TopicIdPartition]) -> bytes:
    entries = _by_topic(dict.fromkeys(value, -1))
    partitions = encoding.compact_array(
        topic_id.bytes
        + encoding.compact_array(map(encoding.int32, epochs))
        + encoding.tagged_fields({})
        for topic_id, epochs in entries.items()
    )
    return partitions + encoding.tagged_fields({})


def _encode_current(value: CurrentAssignment) -> bytes:
    return (
        encoding.int32(value.member_epoch)
        + encoding.int32(value.previous_epoch)
        + bytes((value.state,))
        + _encode_epochs(value.assigned)
        + _encode_epochs(value.revoking)
        + encoding.tagged_fields({})
    )


def _encode_epochs(places: Mapping[TopicIdPartition, int]) -> bytes:
    return encoding.compact_array(
        topic_id.bytes
        + encoding.compact_array(map(encoding.int32, epochs))
        + encoding.tagged_fields({0: encoding.compact_array(map(encoding.int32, epochs.values()))})
        for topic_id, epochs in _by_topic(places).items()
    )


def _by_topic(places: Mapping[TopicIdPartition, int]) -> dict[UUID, dict[int, int]]:
    """Partitions of each topic in order, with what belongs to each."""
    found: dict[UUID, dict[int, int]] = {}
    for topic_id, partition in sorted(places):
        found.setdefault(topic_id, {})[partition] = places[topic_id, partition]
    return found


def _decode_current(body: Reader) -> CurrentAssignment:
    member_epoch, previous_epoch = body.int32(), body.int32()
    state = MemberState(body.int8())
    return CurrentAssignment(
        member_epoch,
        previous_epoch,
        state,
        _decode_partitions(body, member_epoch),
        _decode_partitions(body, member_epoch),
    )


def _decode_partitions(body: Reader, default_epoch: int = -1) -> dict[TopicIdPartition, int]:
    """Partitions with their assignment epochs; before Kafka 4.2 those were not kept."""

    def topic() -> list[tuple[TopicIdPartition, int]]:
        topic_id, partitions = body.uuid(), body.compact_array(body.int32)
        epochs = [default_epoch] * len(partitions)
        tags = body.tagged_fields()
        if 0 in tags:
            reader = Reader(tags[0])
            epochs = reader.compact_array(reader.int32)
        if len(epochs) != len(partitions):
            raise ValueError(f"{len(partitions)} partitions have {len(epochs)} epochs")
        return [
            ((topic_id, partition), epoch)
            for partition, epoch in zip(partitions, epochs, strict=True)
        ]

    return dict(entry for entries in body.compact_array(topic) for entry in entries)


def _encode_regex(value: ResolvedRegex) -> bytes:
    return (
        encoding.compact_array(map(encoding.compact_string, value.topics))
        + encoding.int64(value.version)
        + encoding.int64(value.timestamp_ms)
        + encoding.tagged_fields({})
    )


def _decode_regex(body: Reader) -> ResolvedRegex:
    topics = tuple(body.compact_array(body.compact_string))
    return ResolvedRegex(topics, body.int64(), body.int64())
