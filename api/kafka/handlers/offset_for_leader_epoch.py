"""OffsetForLeaderEpoch, 2-4: where an epoch ended, so that consumers notice a cut log."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.kafka.lookups import code_of, leader_epoch_error
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=23, name="offset_for_leader_epoch", versions=(2, 4), flexible_from=4)


def handle(call: Call, request: Any) -> Values:
    """One answer for each partition."""
    return {
        "topics": [
            {
                "topic": topic.topic,
                "partitions": [_answer(call, topic.topic, entry) for entry in topic.partitions],
            }
            for topic in request.topics
        ]
    }


def _answer(call: Call, topic: str, entry: Any) -> dict[str, Any]:
    index = {"partition": entry.partition}
    try:
        partition = call.access.topic(topic, DESCRIBE).partition(entry.partition)
    except Exception as error:
        return {**index, "error_code": code_of(error)}
    code = leader_epoch_error(partition, entry.current_leader_epoch)
    if code:
        return {**index, "error_code": code}
    epoch, end = partition.end_of_epoch(entry.leader_epoch)
    return {**index, "error_code": 0, "leader_epoch": epoch, "end_offset": end}
