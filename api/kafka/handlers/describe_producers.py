"""DescribeProducers, 0: the idempotent producers that a partition remembers.

The time of a producer is the broker's at its last batch, by which it is forgotten one day.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.topic_name import check_topic_name

API = Api(key=61, name="describe_producers", versions=(0, 0), flexible_from=0)

_NO_TRANSACTION = {"coordinator_epoch": -1, "current_txn_start_offset": -1}


def handle(call: Call, request: Any) -> Values:
    """One answer for each partition."""
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [_describe(call, topic.name, at) for at in topic.partition_indexes],
            }
            for topic in request.topics
        ]
    }


def _describe(call: Call, topic: str, index: int) -> dict[str, Any]:
    try:
        check_topic_name(topic)
        producers = call.access.topic(topic, READ).partition(index).facts().producers
    except Exception as error:
        return {"partition_index": index, "error_code": code_of(error), "error_message": str(error)}
    active = [
        {
            "producer_id": producer_id,
            "producer_epoch": producer.epoch,
            "last_sequence": producer.batches[-1].last_sequence,
            "last_timestamp": producer.seen_ms,
            **_NO_TRANSACTION,
        }
        for producer_id, producer in producers.items()
    ]
    return {"partition_index": index, "error_code": 0, "active_producers": active}
