"""ListOffsets, 1-11: latest (-1), earliest (-2), of the largest time (-3, from 7), or by time.

Without tiered storage the earliest local offset (-4, from version 8) is the earliest, and there is
no latest tiered (-5, from 9) nor earliest pending upload (-6, from 11). Any other negative time is
no version's.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.error_codes import UNSUPPORTED_VERSION
from tidelog.api.kafka.lookups import code_of, leader_epoch_error
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.partition import Partition

API = Api(key=2, name="list_offsets", versions=(1, 11), flexible_from=6)

_LATEST, _EARLIEST, _LARGEST, _EARLIEST_LOCAL = -1, -2, -3, -4
_LATEST_TIERED, _EARLIEST_PENDING_UPLOAD = -5, -6
_FROM_VERSION = {
    _LATEST: 1,
    _EARLIEST: 1,
    _LARGEST: 7,
    _EARLIEST_LOCAL: 8,
    _LATEST_TIERED: 9,
    _EARLIEST_PENDING_UPLOAD: 11,
}
_NEVER = 2**15


async def handle(call: Call, request: Any) -> Values:
    """One answer for each partition."""
    topics = []
    for topic in request.topics:
        partitions = [await _answer(call, topic.name, entry) for entry in topic.partitions]
        topics.append({"name": topic.name, "partitions": partitions})
    return {"topics": topics}


async def _answer(call: Call, topic: str, entry: Any) -> dict[str, Any]:
    index = {"partition_index": entry.partition_index}
    nothing = {**index, "timestamp": -1, "offset": -1}
    if entry.timestamp < 0 and call.version < _FROM_VERSION.get(entry.timestamp, _NEVER):
        return {**nothing, "error_code": UNSUPPORTED_VERSION}
    try:
        partition = call.access.topic(topic, DESCRIBE).partition(entry.partition_index)
        code = leader_epoch_error(partition, getattr(entry, "current_leader_epoch", -1))
        if code:
            return {**nothing, "error_code": code}
        offset, timestamp = await _find(partition, entry.timestamp)
    except Exception as error:
        return {**nothing, "error_code": code_of(error)}
    epoch = partition.leader_epoch if offset >= 0 else -1
    return {**index, "timestamp": timestamp, "offset": offset, "leader_epoch": epoch}


async def _find(partition: Partition, timestamp: int) -> tuple[int, int]:
    """Offset and timestamp, -1 for what there is not."""
    if timestamp == _LATEST:
        return partition.high_watermark, -1
    if timestamp in (_EARLIEST, _EARLIEST_LOCAL):
        return partition.start_offset, -1
    if timestamp == _LARGEST:
        return await partition.offset_of_largest_timestamp() or (-1, -1)
    if timestamp < 0:
        return -1, -1
    return await partition.offset_for_timestamp(timestamp) or (-1, -1)
