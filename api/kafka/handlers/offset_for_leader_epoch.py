"""OffsetForLeaderEpoch, 2-4: where an epoch ended, so that consumers notice a cut log."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call

_FENCED_LEADER_EPOCH, _UNKNOWN_LEADER_EPOCH = 74, 75


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
        partition = call.broker.topic(topic).partition(entry.partition)
    except Exception as error:
        return {**index, "error_code": code_of(error)}
    if entry.current_leader_epoch > partition.leader_epoch:
        return {**index, "error_code": _UNKNOWN_LEADER_EPOCH}
    if 0 <= entry.current_leader_epoch < partition.leader_epoch:
        return {**index, "error_code": _FENCED_LEADER_EPOCH}
    epoch, end = partition.log.epochs.end_offset_of(entry.leader_epoch, partition.end_offset)
    return {**index, "error_code": 0, "leader_epoch": epoch, "end_offset": end}
