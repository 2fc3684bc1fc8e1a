"""DescribeQuorum, 0-2: this broker leads a quorum of one.

Topics and settings are in a catalog instead of Kafka's metadata log; the number of changes to it
since the start stands for that log's end.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.error_codes import UNKNOWN_TOPIC_OR_PARTITION
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=55, name="describe_quorum", versions=(0, 2), flexible_from=0)

_METADATA_TOPIC = "__cluster_metadata"
_EPOCH = 1


def handle(call: Call, request: Any) -> Values:
    """The quorum, when its one partition alone is asked for; an error for any other."""
    refusal = not_authorized(call, DESCRIBE)
    if refusal is not None:
        return {**refusal, "topics": ()}
    asked = [
        (topic.topic_name, one.partition_index)
        for topic in request.topics
        for one in topic.partitions
    ]
    if asked != [(_METADATA_TOPIC, 0)]:
        return {"error_code": 0, "error_message": "", "topics": _unknown(request)}
    advertised = call.peer.advertised
    listener = {"name": "PLAINTEXT", "host": advertised.host, "port": advertised.port}
    return {
        "error_code": 0,
        "error_message": "",
        "topics": [{"topic_name": _METADATA_TOPIC, "partitions": [_quorum(call)]}],
        "nodes": [{"node_id": call.broker.node_id, "listeners": [listener]}],
    }


def _quorum(call: Call) -> dict[str, Any]:
    end, now_ms = call.broker.topics_version, call.broker.clock.now_ms()
    voter = {
        "replica_id": call.broker.node_id,
        "replica_directory_id": None,
        "log_end_offset": end,
        "last_fetch_timestamp": now_ms,
        "last_caught_up_timestamp": now_ms,
    }
    return {
        "partition_index": 0,
        "error_code": 0,
        "error_message": "",
        "leader_id": call.broker.node_id,
        "leader_epoch": _EPOCH,
        "high_watermark": end,
        "current_voters": [voter],
    }


def _unknown(request: Any) -> list[dict[str, Any]]:
    return [
        {
            "topic_name": topic.topic_name,
            "partitions": [
                {
                    "partition_index": one.partition_index,
                    "error_code": UNKNOWN_TOPIC_OR_PARTITION,
                    "error_message": f"only partition 0 of {_METADATA_TOPIC} has a quorum",
                }
                for one in topic.partitions
            ],
        }
        for topic in request.topics
    ]
