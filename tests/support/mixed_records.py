"""Requests about records, each of which mixes what is good with what is bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.both_brokers import TopicId
from tests.support.kafka_wire import Message
from tests.support.mixed_scene import (
    INTERNAL,
    NOW,
    PLACES,
    UNKNOWN_ID,
    Requests,
    Scene,
    batch,
    by_id,
    by_name,
)


def produce(scene: Scene, version: int) -> Iterator[Message]:
    good = batch()
    bad = (good[:-1], good[:17] + bytes(4) + good[21:], good[:16] + b"\1" + good[17:], b"")
    for acks in (1, -1, 3):
        for first in (good, *bad):
            places = [(0, first), *((index, good) for index in PLACES[1:])]
            yield {
                "acks": acks,
                "timeout_ms": 5000,
                "topic_data": _topic_data(scene, version, places, internal=acks != 3),
            }


def _topic_data(
    scene: Scene, version: int, places: list[tuple[int, bytes]], *, internal: bool
) -> list[Message]:
    """Of a topic that is internal they look at acks first, we at the topic."""
    good = [(0, batch())]
    topics: list[tuple[Any, list[tuple[int, bytes]]]]
    if version >= 13:
        own = [(TopicId(INTERNAL), good)] if internal else []
        compacted = TopicId(scene.compacted)
        topics = [(TopicId(scene.topic), places), (compacted, good), (UNKNOWN_ID, places), *own]
    else:
        own = [(INTERNAL, good)] if internal else []
        unknown = [(name, good) for name in ("no-such", "a b", "")]
        topics = [(scene.topic, places), (scene.compacted, good), *unknown, *own]
    name = "topic_id" if version >= 13 else "name"
    return [
        {name: key, "partition_data": [{"index": at, "records": data} for at, data in records]}
        for key, records in topics
    ]


def fetch(scene: Scene, version: int) -> Iterator[Message]:
    limits: Message = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 2**20}
    if version >= 7:
        limits["session_epoch"] = -1
    asked: list[Message] = [{"fetch_offset": offset} for offset in (4, 1, 99, -1)]
    if version >= 9:
        asked += ({"fetch_offset": 4, "current_leader_epoch": epoch} for epoch in (0, 7))
    if version >= 12:
        asked.append({"fetch_offset": 4, "last_fetched_epoch": 3})
    for fields in asked:
        places = [{"partition": at, "partition_max_bytes": 1, **fields} for at in PLACES]
        # Each broker has its own records in the internal topic, which is the last.
        by = by_id(scene, "partitions", places) if version >= 13 else []
        topics = by or by_name(scene, "partitions", places, "topic")
        yield {**limits, "topics": topics[:-1]}


def list_offsets(scene: Scene, version: int) -> Iterator[Message]:
    epochs: list[Message] = [{}]
    if version >= 4:
        epochs += ({"current_leader_epoch": epoch} for epoch in (0, 7))
    for time in (-1, -2, -3, -4, -5, -6, -9, NOW + 4, NOW * 2):
        for known in epochs:
            places = [{"partition_index": at, "timestamp": time, **known} for at in PLACES]
            yield {"replica_id": -1, "topics": by_name(scene, "partitions", places)[:-1]}


def delete_records(scene: Scene, version: int) -> Iterator[Message]:
    for offset in (-2, -1, 0, 2, 99):
        places = [{"partition_index": index, "offset": offset} for index in PLACES]
        topics = by_name(scene._replace(topic=scene.fresh(2)), "partitions", places)
        topics[-1] = {"name": INTERNAL, "partitions": places[:1]}
        compacted = {"name": scene.compacted, "partitions": places}
        yield {"topics": [*topics, compacted], "timeout_ms": 5000}


def offset_for_leader_epoch(scene: Scene, version: int) -> Iterator[Message]:
    for epoch, known in ((0, -1), (0, 0), (0, 7), (5, 0), (-1, -1)):
        asked = {"leader_epoch": epoch, "current_leader_epoch": known}
        places = [{"partition": index, **asked} for index in PLACES]
        yield {"topics": by_name(scene, "partitions", places, "topic")[:-1]}


def describe_producers(scene: Scene, version: int) -> Iterator[Message]:
    yield {"topics": by_name(scene, "partition_indexes", list(PLACES))}


RECORDS: dict[str, Requests] = {
    "produce": produce,
    "fetch": fetch,
    "list_offsets": list_offsets,
    "delete_records": delete_records,
    "offset_for_leader_epoch": offset_for_leader_epoch,
    "describe_producers": describe_producers,
}
