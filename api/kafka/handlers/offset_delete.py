"""OffsetDelete, 0: forget committed offsets of topics that the group is not subscribed to."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DELETE, READ
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.errors import GroupError, GroupSubscribed, InvalidGroupId

API = Api(key=47, name="offset_delete", versions=(0, 0))


async def handle(call: Call, request: Any) -> Values:
    """One answer for each partition; one error where the group itself is refused."""
    try:
        if not request.group_id:
            raise InvalidGroupId(request.group_id)
        call.access.group(request.group_id, DELETE)
        call.coordinator.describe(request.group_id)
    except GroupError as error:
        return {"error_code": code_of(error)}
    topics = []
    for topic in request.topics:
        indexes = [entry.partition_index for entry in topic.partitions]
        codes = {index: _code(call, topic.name, index) for index in indexes}
        known = [index for index, code in codes.items() if not code]
        try:
            await call.coordinator.offsets.delete(request.group_id, topic.name, known)
        except GroupSubscribed as error:
            codes.update(dict.fromkeys(known, code_of(error)))
        except GroupError as error:
            return {"error_code": code_of(error)}
        partitions = [{"partition_index": index, "error_code": codes[index]} for index in codes]
        topics.append({"name": topic.name, "partitions": partitions})
    return {"error_code": 0, "topics": topics}


def _code(call: Call, topic: str, index: int) -> int:
    """The error of a partition that there is not."""
    try:
        call.access.topic(topic, READ).check_index(index)
    except BrokerError as error:
        return code_of(error)
    return 0
