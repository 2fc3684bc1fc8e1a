"""The records of ``__consumer_offsets``: committed offsets and the state of classic groups.

Drawn after Apache Kafka 4.3's group-coordinator message definitions (OffsetCommitKey.json,
OffsetCommitValue.json, LegacyOffsetCommit*.json, GroupMetadataKey.json, GroupMetadataValue.json).
A key and a value each begin with an int16: in keys the kind of record, in values the version::

    key 0, 1  group string, topic string, partition int32           an offset
    key 2     group string                                          a group

    offset value   0     offset int64, metadata string, commit timestamp int64
                   1     ... and expire timestamp int64
                   2     as 0
                   3     offset int64, leader epoch int32, metadata string, commit timestamp int64
                   4     as 3 in compact types, tag 0: topic id uuid
    group value    0-4   protocol type string, generation int32, protocol nullable string,
                         leader nullable string, [2+ current state timestamp int64],
                         members array of: member id string, [3+ instance id nullable string],
                         client id string, client host string, [1+ rebalance timeout int32],
                         session timeout int32, subscription bytes, assignment bytes
                         (4 is 3 in compact types)

Without a value a record is a tombstone. Written are the versions that Kafka 4.3 writes: offsets
as 4 (as 1 with an expire timestamp), groups as 3. ``consumer_group_records.py`` has the records of
the new protocol; kinds that neither knows belong to share and streams groups, and are passed over.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.records import consumer_group_records, encoding
from tidelog.consumer_groups.records.consumer_group_records import ConsumerGroupRecord
from tidelog.consumer_groups.records.encoding import Reader
from tidelog.consumer_groups.records.offsets import CommittedOffset

OFFSET_KINDS = (0, 1)
GROUP_KIND = 2
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_PLAIN = struct.Struct(">hqiBqBBB16s")
"""Nearly every offset value: version 4, no metadata, one tagged field, the topic id."""
_PLAIN_SHAPE = (1, 1, 0, 16)
"""Compact length of no metadata; one tagged field, its tag and its size."""


class KeyValue(NamedTuple):
    """A record as it is appended; a tombstone has no value."""

    key: bytes
    value: bytes | None


class OffsetRecord(NamedTuple):
    group: str
    topic: str
    partition: int
    value: CommittedOffset | None


class GroupMember(NamedTuple):
    """A member as the log keeps it."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


class GroupMetadata(NamedTuple):
    """A classic group as the log keeps it; with members it is stable, without it is empty."""

    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    state_timestamp_ms: int
    members: tuple[GroupMember, ...]


class GroupRecord(NamedTuple):
    group: str
    value: GroupMetadata | None


StateRecord = OffsetRecord | GroupRecord | ConsumerGroupRecord


def _offset_key(group: str, topic: str, partition: int) -> bytes:
    return b"\x00\x01" + encoding.string(group) + encoding.string(topic) + encoding.int32(partition)


def _offset_value(committed: CommittedOffset) -> bytes:
    offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms, topic_id = committed
    if expire_timestamp_ms >= 0:
        return (
            encoding.int16(1)
            + encoding.int64(offset)
            + encoding.string(metadata)
            + encoding.int64(commit_timestamp_ms)
            + encoding.int64(expire_timestamp_ms)
        )
    if topic_id is not None and not metadata:
        return _PLAIN.pack(
            4, offset, leader_epoch, 1, commit_timestamp_ms, 1, 0, 16, topic_id.bytes
        )
    return (
        encoding.int16(4)
        + encoding.int64(offset)
        + encoding.int32(leader_epoch)
        + encoding.compact_string(metadata)
        + encoding.int64(commit_timestamp_ms)
        + encoding.tagged_fields({} if topic_id is None else {0: topic_id.bytes})
    )


def encode(record: StateRecord) -> KeyValue:
    """The bytes of a record; one without a value is a tombstone."""
    if isinstance(record, OffsetRecord):
        key = _offset_key(record.group, record.topic, record.partition)
        return KeyValue(key, None if record.value is None else _offset_value(record.value))
    if not isinstance(record, GroupRecord):
        return KeyValue(*consumer_group_records.encode(record))
    key = b"\x00\x02" + encoding.string(record.group)
    return KeyValue(key, None if record.value is None else _encode_group(record.value))


def _encode_group(metadata: GroupMetadata) -> bytes:
    return (
        b"\x00\x03"
        + encoding.string(metadata.protocol_type)
        + encoding.int32(metadata.generation)
        + encoding.nullable_string(metadata.protocol)
        + encoding.nullable_string(metadata.leader)
        + encoding.int64(metadata.state_timestamp_ms)
        + encoding.array(_encode_member(member) for member in metadata.members)
    )


def _encode_member(member: GroupMember) -> bytes:
    return (
        encoding.string(member.member_id)
        + encoding.nullable_string(member.instance_id)
        + encoding.string(member.client_id)
        + encoding.string(member.client_host)
        + encoding.int32(member.rebalance_timeout_ms)
        + encoding.int32(member.session_timeout_ms)
        + encoding.bytes_field(member.subscription)
        + encoding.bytes_field(member.assignment)
    )


def decode(key: bytes | None, value: bytes | None) -> StateRecord | None:
    """What the record says, or None for a kind not known here.

    Raises ValueError for bytes that are not what their kind and version promise.
    """
    if key is None or len(key) < 2:
        raise ValueError("a record of the offsets topic needs a key")
    kind = int(_INT16.unpack_from(key)[0])
    if kind in OFFSET_KINDS:
        group, topic, partition = _decode_offset_key(key)
        offset = None if value is None else _decode_offset(value)
        return OffsetRecord(group, topic, partition, offset)
    if kind == GROUP_KIND:
        group = Reader(key, 2).string()
        return GroupRecord(group, None if value is None else _decode_group(value))
    return consumer_group_records.decode(kind, Reader(key, 2), value)


def _decode_offset_key(key: bytes) -> tuple[str, str, int]:
    """Without a Reader: this and the usual value are what a start spends its time on."""
    try:
        group_end = 4 + int(_INT16.unpack_from(key, 2)[0])
        topic_end = group_end + 2 + int(_INT16.unpack_from(key, group_end)[0])
        partition = int(_INT32.unpack_from(key, topic_end)[0])
    except struct.error as error:
        raise ValueError(f"the key of an offset does not fit {len(key)} bytes") from error
    if not 4 <= group_end <= topic_end - 2 or topic_end + 4 != len(key):
        raise ValueError(f"the key of an offset does not fill {len(key)} bytes")
    return key[4:group_end].decode(), key[group_end + 2 : topic_end].decode(), partition


_topic_id = lru_cache(1024)(lambda data: UUID(bytes=data) if any(data) else None)


def _decode_offset(data: bytes) -> CommittedOffset:
    if len(data) == _PLAIN.size:
        version, offset, epoch, length, time_ms, count, tag, size, topic_id = _PLAIN.unpack(data)
        if version == 4 and (length, count, tag, size) == _PLAIN_SHAPE:
            return CommittedOffset(offset, epoch, "", time_ms, -1, _topic_id(topic_id))
    reader = Reader(data)
    version = reader.int16()
    if not 0 <= version <= 4:
        raise ValueError(f"committed offset of version {version} is not known")
    offset = reader.int64()
    leader_epoch = reader.int32() if version >= 3 else -1
    metadata = reader.compact_string() if version == 4 else reader.string()
    commit_timestamp_ms = reader.int64()
    expire_timestamp_ms = reader.int64() if version == 1 else -1
    tags = reader.tagged_fields() if version == 4 else {}
    return CommittedOffset(
        offset,
        leader_epoch,
        metadata,
        commit_timestamp_ms,
        expire_timestamp_ms,
        _topic_id(tags[0]) if 0 in tags else None,
    )


def _decode_group(data: bytes) -> GroupMetadata:
    reader = Reader(data)
    version = reader.int16()
    if not 0 <= version <= 4:
        raise ValueError(f"group metadata of version {version} is not known")
    flexible = version == 4
    text = reader.compact_string if flexible else reader.string
    nullable = reader.compact_nullable_string if flexible else reader.nullable_string
    data_field = reader.compact_bytes if flexible else reader.bytes_field

    def member() -> GroupMember:
        member_id = text()
        instance_id = nullable() if version >= 3 else None
        client_id, client_host = text(), text()
        rebalance_timeout_ms = reader.int32() if version >= 1 else -1
        session_timeout_ms = reader.int32()
        subscription, assignment = data_field(), data_field()
        if flexible:
            reader.tagged_fields()
        if rebalance_timeout_ms < 0:
            rebalance_timeout_ms = session_timeout_ms
        return GroupMember(
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        )

    protocol_type, generation = text(), reader.int32()
    protocol, leader = nullable(), nullable()
    state_timestamp_ms = reader.int64() if version >= 2 else -1
    members = reader.compact_array(member) if flexible else reader.array(member)
    return GroupMetadata(
        protocol_type, generation, protocol, leader, state_timestamp_ms, tuple(members)
    )
