"""OffsetDelete, 0: forget committed offsets of topics that the group is not subscribed to."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.errors import GroupError, GroupSubscribed


async def handle(call: Call, request: Any) -> Values:
    """One answer for each partition; one error where the group itself is refused."""
    topics = []
    for topic in request.topics:
        indexes = [entry.partition_index for entry in topic.partitions]
        code = 0
        try:
            for index in indexes:
                call.broker.topic(topic.name).partition(index)
            await call.coordinator.delete_offsets(request.group_id, topic.name, indexes)
        except (GroupSubscribed, BrokerError) as error:
            code = code_of(error)
        except GroupError as error:
            return {"error_code": code_of(error)}
        partitions = [{"partition_index": index, "error_code": code} for index in indexes]
        topics.append({"name": topic.name, "partitions": partitions})
    return {"error_code": 0, "topics": topics}
