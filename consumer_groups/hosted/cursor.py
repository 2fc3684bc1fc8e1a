"""Where a hosted member is, as the opaque text it carries from poll to poll.

The text is base64url without padding of this, in the types of ``encoding.py``::

    checksum 8 bytes    BLAKE2b of the rest, keyed with the group and the member
    version int8        0
    generation int32    the member's epoch when the cursor was given out
    reset int8          0 earliest, 1 latest
    turn int32          how many cursors came before; which partition is read first follows from it
    instance id nullable string
    positions           array of (topic id uuid, array of (partition int32, offset int64))

All records below the positions were given to the caller with earlier cursors. The checksum is no
secret: it tells a damaged cursor, or one of another member, from one that can be gone on with.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.errors import InvalidCursor
from tidelog.consumer_groups.records import encoding
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition
from tidelog.consumer_groups.records.encoding import Reader

EARLIEST, LATEST = "earliest", "latest"
_RESETS = (EARLIEST, LATEST)
_CHECKSUM_BYTES = 8
_VERSION = 0
_TURNS = 2**31


class Cursor(NamedTuple):
    """``positions``: for each partition that the member had, the offset it will read next."""

    generation: int
    auto_offset_reset: str
    instance_id: str | None
    positions: Mapping[TopicIdPartition, int]
    turn: int = 0

    def moved(self, positions: Mapping[TopicIdPartition, int]) -> Cursor:
        """The cursor that follows this one."""
        return self._replace(positions=positions, turn=(self.turn + 1) % _TURNS)


def encode_cursor(group: str, member_id: str, cursor: Cursor) -> str:
    by_topic: dict[UUID, list[bytes]] = {}
    for (topic_id, partition), offset in cursor.positions.items():
        entry = encoding.int32(partition) + encoding.int64(offset)
        by_topic.setdefault(topic_id, []).append(entry)
    content = b"".join(
        (
            bytes((_VERSION,)),
            encoding.int32(cursor.generation),
            bytes((_RESETS.index(cursor.auto_offset_reset),)),
            encoding.int32(cursor.turn),
            encoding.nullable_string(cursor.instance_id),
            encoding.array(
                topic_id.bytes + encoding.array(entries) for topic_id, entries in by_topic.items()
            ),
        )
    )
    data = _checksum(group, member_id, content) + content
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_cursor(group: str, member_id: str, text: str) -> Cursor:
    """Raises InvalidCursor for what was not given to this member."""
    try:
        data = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise InvalidCursor(group, member_id) from None
    checksum, content = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _checksum(group, member_id, content):
        raise InvalidCursor(group, member_id)
    try:
        return _decode(Reader(content))
    except (ValueError, IndexError):
        raise InvalidCursor(group, member_id) from None


def _decode(reader: Reader) -> Cursor:
    version = reader.int8()
    if version != _VERSION:
        raise ValueError(f"version {version} is not known")
    generation = reader.int32()
    reset = _RESETS[reader.int8()]
    turn = reader.int32()
    instance_id = reader.nullable_string()
    positions = {
        (topic_id, partition): offset
        for topic_id, entries in reader.array(lambda: (reader.uuid(), _entries(reader)))
        for partition, offset in entries
    }
    return Cursor(generation, reset, instance_id, positions, turn)


def _entries(reader: Reader) -> list[tuple[int, int]]:
    return reader.array(lambda: (reader.int32(), reader.int64()))


def _checksum(group: str, member_id: str, content: bytes) -> bytes:
    owner = hashlib.blake2b(f"{group}\0{member_id}".encode(), digest_size=32).digest()
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES, key=owner).digest()
