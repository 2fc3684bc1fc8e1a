"""OffsetFetch, 1-10: what groups have committed; several groups from version 8, ids from 10.

From version 9 a member of the new protocol gives its epoch and is refused if that is stale.
RequireStable (7) has nothing to wait for without transactions.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.kafka.lookups import code_of, topic_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.classic.membership import UNKNOWN_MEMBER_ID
from tidelog.consumer_groups.errors import GroupError
from tidelog.consumer_groups.records.offsets import CommittedOffset

API = Api(key=9, name="offset_fetch", versions=(1, 10), flexible_from=6)

Committed = dict[tuple[str, int], CommittedOffset]


async def handle(call: Call, request: Any) -> Values:
    """One answer for each group; in versions before 8 the answer itself."""
    if call.version >= 8:
        return {"groups": [await _group(call, group) for group in request.groups]}
    return await _group(call, request)


async def _group(call: Call, group: Any) -> dict[str, Any]:
    try:
        call.access.group(group.group_id, DESCRIBE)
    except GroupError as error:
        return {"group_id": group.group_id, "error_code": code_of(error), "topics": ()}
    # A commit may have come on the same connection and still be under way.
    await call.coordinator.offsets.settle(group.group_id)
    try:
        committed = call.coordinator.offsets.committed(
            group.group_id,
            member_id=getattr(group, "member_id", None) or UNKNOWN_MEMBER_ID,
            member_epoch=getattr(group, "member_epoch", -1),
        )
    except GroupError as error:
        return {"group_id": group.group_id, "error_code": code_of(error), "topics": ()}
    asked = group.topics
    topics = _all(call, committed) if asked is None else [_topic(call, t, committed) for t in asked]
    if asked is not None:
        call.coordinator.offsets.begin(group.group_id, _begun(topics))
    return {"group_id": group.group_id, "error_code": 0, "topics": topics}


def _begun(topics: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """What was asked for and has no committed offset."""
    for topic in topics:
        for partition in topic["partitions"]:
            if partition["committed_offset"] < 0 and not partition["error_code"]:
                yield topic["name"], partition["partition_index"]


def _all(call: Call, committed: Committed) -> list[dict[str, Any]]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(committed):
        topics.setdefault(topic, []).append(partition)
    return [
        {
            "name": name,
            "topic_id": _topic_id(call, name),
            "partitions": [_partition(index, committed.get((name, index))) for index in indexes],
        }
        for name, indexes in topics.items()
    ]


def _topic_id(call: Call, name: str) -> uuid.UUID | None:
    try:
        return call.access.topic(name, DESCRIBE).id
    except BrokerError:
        return None


def _topic(call: Call, entry: Any, committed: Committed) -> dict[str, Any]:
    name, topic_id, code = getattr(entry, "name", None), getattr(entry, "topic_id", None), 0
    if name is None:
        try:
            name = topic_of(call, entry, DESCRIBE).name
        except BrokerError as error:
            name, code = "", code_of(error)
    return {
        "name": name,
        "topic_id": topic_id,
        "partitions": [
            _partition(index, committed.get((name, index)), code)
            for index in entry.partition_indexes
        ],
    }


def _partition(index: int, offset: CommittedOffset | None, code: int = 0) -> dict[str, Any]:
    if offset is None:
        return {
            "partition_index": index,
            "committed_offset": -1,
            "committed_leader_epoch": -1,
            "metadata": "",
            "error_code": code,
        }
    return {
        "partition_index": index,
        "committed_offset": offset.offset,
        "committed_leader_epoch": offset.leader_epoch,
        "metadata": offset.metadata,
        "error_code": code,
    }
