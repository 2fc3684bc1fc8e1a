"""DescribeLogDirs, 1-5: the bytes of each partition in the one data directory."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=35, name="describe_log_dirs", versions=(1, 5), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """All partitions, or those asked for."""
    refusal = not_authorized(call, DESCRIBE)
    if refusal is not None:
        return {**refusal, "results": ()}
    wanted = None
    if request.topics is not None:
        wanted = {one.topic: set(one.partitions) for one in request.topics}
    topics = []
    for topic in call.access.topics(DESCRIBE):
        if wanted is not None and topic.name not in wanted:
            continue
        partitions: list[dict[str, Any]] = [
            {
                "partition_index": partition.index,
                "partition_size": partition.size_bytes,
                "offset_lag": 0,
                "is_future_key": False,
            }
            for partition in topic.partitions
            if wanted is None or partition.index in wanted[topic.name]
        ]
        if partitions:
            topics.append({"name": topic.name, "partitions": partitions})
    space = call.broker.store.directory.space()
    return {
        "error_code": 0,
        "results": [
            {
                "error_code": 0,
                "log_dir": call.broker.data_dir,
                "topics": topics,
                "total_bytes": space.total,
                "usable_bytes": space.usable,
            }
        ],
    }
