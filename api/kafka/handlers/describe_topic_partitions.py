"""DescribeTopicPartitions, 0: topics in order of name, a bounded number of partitions at a time.

The cursor of an answer names the first partition that did not fit.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE, TOPIC
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of, partition_fields
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError
from tidelog.broker.topic import Topic
from tidelog.broker.topic_name import check_topic_name

API = Api(key=75, name="describe_topic_partitions", versions=(0, 0), flexible_from=0)

_LIMIT_MAX = 2000


def handle(call: Call, request: Any) -> Values:
    """All topics where none is named, from the cursor on."""
    names = sorted({one.name for one in request.topics})
    cursor_fits = _cursor_fits(request.cursor, names)
    names = names or [topic.name for topic in call.access.topics(DESCRIBE)]
    if not cursor_fits:
        return {"topics": [{"error_code": INVALID_REQUEST, "name": name} for name in names]}
    first = 0
    if request.cursor is not None:
        first = request.cursor.partition_index
        names = [name for name in names if name >= request.cursor.topic_name]
        if names and names[0] != request.cursor.topic_name:
            first = 0
    room = max(1, min(request.response_partition_limit, _LIMIT_MAX))
    topics: list[dict[str, Any]] = []
    cursor = None
    for name in names:
        try:
            check_topic_name(name)
            topic = call.access.topic(name, DESCRIBE)
        except BrokerError as error:
            operations = {"topic_authorized_operations": call.access.operations(TOPIC, name)}
            topics.append({"error_code": code_of(error), "name": name, **operations})
            first = 0
            continue
        if room == 0:
            cursor = {"topic_name": name, "partition_index": 0}
            break
        last = min(len(topic.partitions), first + room)
        topics.append(_describe(call, topic, first, last))
        room -= last - first
        if last < len(topic.partitions):
            cursor = {"topic_name": name, "partition_index": last}
            break
        first = 0
    return {"topics": topics, "next_cursor": cursor}


def _cursor_fits(cursor: Any, names: list[str]) -> bool:
    """Whether the cursor can be one of ours: within the topics that are asked for."""
    if cursor is None:
        return True
    return cursor.partition_index >= 0 and (not names or cursor.topic_name <= names[-1])


def _describe(call: Call, topic: Topic, first: int, last: int) -> dict[str, Any]:
    return {
        "error_code": 0,
        "name": topic.name,
        "topic_id": topic.id,
        "is_internal": topic.internal,
        "topic_authorized_operations": call.access.operations(TOPIC, topic.name),
        "partitions": [
            {
                **partition_fields(call, partition),
                "eligible_leader_replicas": (),
                "last_known_elr": (),
            }
            for partition in topic.partitions[first:last]
        ],
    }
