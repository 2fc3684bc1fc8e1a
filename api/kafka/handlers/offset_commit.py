"""OffsetCommit, 2-10: durable when answered; from version 10 topics go by id."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of, topic_fields, topic_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.errors import GroupError, IllegalGeneration, UnknownGroup
from tidelog.consumer_groups.offsets import OffsetAndMetadata

_UNKNOWN_GROUP_FROM = 9


async def handle(call: Call, request: Any) -> Values:
    """One answer for each partition; one error for all where the member is refused."""
    offsets: dict[tuple[str, int], OffsetAndMetadata] = {}
    codes: dict[tuple[int, int], int] = {}
    names: dict[int, str] = {}
    for number, topic in enumerate(request.topics):
        try:
            names[number] = getattr(topic, "name", None) or topic_of(call, topic).name
        except BrokerError as error:
            code = code_of(error)
            codes.update({(number, entry.partition_index): code for entry in topic.partitions})
            continue
        for entry in topic.partitions:
            offsets[names[number], entry.partition_index] = OffsetAndMetadata(
                entry.committed_offset,
                getattr(entry, "committed_leader_epoch", -1),
                entry.committed_metadata or "",
            )
    failed: dict[tuple[str, int], Exception] = {}
    try:
        failed = await call.coordinator.commit_each(
            request.group_id,
            offsets,
            member_id=request.member_id,
            generation=request.generation_id_or_member_epoch,
            instance_id=getattr(request, "group_instance_id", None),
        )
    except UnknownGroup as error:
        older: GroupError = IllegalGeneration(
            request.group_id, request.generation_id_or_member_epoch, -1
        )
        failed = dict.fromkeys(offsets, error if call.version >= _UNKNOWN_GROUP_FROM else older)
    except GroupError as error:
        failed = dict.fromkeys(offsets, error)
    for number, name in names.items():
        for entry in request.topics[number].partitions:
            error_or_none = failed.get((name, entry.partition_index))
            code = 0 if error_or_none is None else code_of(error_or_none)
            codes[number, entry.partition_index] = code
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
