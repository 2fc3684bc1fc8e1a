"""OffsetCommit, 2-10: durable when answered; from version 10 topics go by id.

Version 9 is the first that members of the new protocol may use, with their epoch, and that knows
errors of theirs: an older one hears Kafka's older errors in their place.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.error_codes import ILLEGAL_GENERATION, UNSUPPORTED_VERSION
from tidelog.api.kafka.lookups import code_of, topic_fields, topic_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.commits import Offsets
from tidelog.consumer_groups.errors import GroupError, UnknownGroup
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata

API = Api(key=8, name="offset_commit", versions=(2, 10), flexible_from=8)

_NEW_PROTOCOL_VERSION = 9


async def handle(call: Call, request: Any) -> Values:
    """One answer for each partition: its own error where it is not there, else the group's."""
    offsets: dict[tuple[str, int], OffsetAndMetadata] = {}
    codes: dict[tuple[int, int], int] = {}
    places: dict[tuple[int, int], tuple[str, int]] = {}
    for number, topic in enumerate(request.topics):
        for entry in topic.partitions:
            index = entry.partition_index
            try:
                found = topic_of(call, topic, READ)
                found.check_index(index)
            except BrokerError as error:
                codes[number, index] = code_of(error)
                continue
            places[number, index] = found.name, index
            offsets[found.name, index] = OffsetAndMetadata(
                entry.committed_offset,
                getattr(entry, "committed_leader_epoch", -1),
                entry.committed_metadata or "",
            )
    # Where no partition is left the group is not asked: a client that hears the group's error for
    # a topic that is gone forgets its member id, and never leaves.
    failed = await _commit(call, request, offsets) if offsets else {}
    codes.update({key: failed.get(place, 0) for key, place in places.items()})
    return {
        "topics": [
            {
                **topic_fields(topic),
                "partitions": [
                    {
                        "partition_index": entry.partition_index,
                        "error_code": codes[number, entry.partition_index],
                    }
                    for entry in topic.partitions
                ],
            }
            for number, topic in enumerate(request.topics)
        ]
    }


async def _commit(call: Call, request: Any, offsets: Offsets) -> dict[tuple[str, int], int]:
    """The error code of each partition that was refused."""
    try:
        call.access.group(request.group_id, READ)
    except GroupError as error:
        return dict.fromkeys(offsets, code_of(error))
    if call.version < _NEW_PROTOCOL_VERSION and call.coordinator.consumer.has_member(
        request.group_id, request.member_id
    ):
        return dict.fromkeys(offsets, UNSUPPORTED_VERSION)
    try:
        errors = await call.coordinator.offsets.commit_each(
            request.group_id,
            offsets,
            member_id=request.member_id,
            generation=request.generation_id_or_member_epoch,
            instance_id=getattr(request, "group_instance_id", None),
        )
    except GroupError as error:
        code = code_of(error)
        if call.version < _NEW_PROTOCOL_VERSION and isinstance(error, UnknownGroup):
            code = ILLEGAL_GENERATION
        return dict.fromkeys(offsets, code)
    return {place: code_of(error) for place, error in errors.items()}
