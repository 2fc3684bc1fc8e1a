"""DeleteRecords, 0-2: everything before an offset; -1 is the high watermark."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DELETE
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=21, name="delete_records", versions=(0, 2), flexible_from=2, alone=True)


async def handle(call: Call, request: Any) -> Values:
    """The new start offset of each partition."""
    topics = []
    for topic in request.topics:
        partitions = [await _delete(call, topic.name, entry) for entry in topic.partitions]
        topics.append({"name": topic.name, "partitions": partitions})
    return {"topics": topics}


async def _delete(call: Call, topic: str, entry: Any) -> dict[str, Any]:
    index = {"partition_index": entry.partition_index}
    try:
        partition = call.access.topic(topic, DELETE).partition(entry.partition_index)
        low_watermark = await partition.delete_records(entry.offset)
    except Exception as error:
        return {**index, "low_watermark": -1, "error_code": code_of(error)}
    return {**index, "low_watermark": low_watermark, "error_code": 0}
