"""What there is on both brokers when requests are sent that mix what is good with what is bad."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from tests.support.both_brokers import MINE, BothBrokers, TopicId
from tests.support.kafka_wire import Message
from tidelog.storage.batches.record_batch import encode_batch

INTERNAL = "__consumer_offsets"
UNKNOWN_ID, NO_ID = uuid.UUID(int=77), uuid.UUID(int=0)
NOW = 1_700_000_000_000
PLACES = (0, 1, 9, -1)
"""Partitions that are asked for: the last two are never there."""
_PROTOCOLS = [{"name": "range", "metadata": b"\0\1\0\0\0\0\0\0\0\0"}]
_numbers = itertools.count()


class Scene(NamedTuple):
    both: BothBrokers
    topic: str
    """Two partitions with five records each; the first of partition 1 are deleted."""
    compacted: str
    group: str
    """A group without members that has committed 5 for partition 0 of the topic."""
    joined: str
    """A classic group with one member, ``MINE``, in generation 1."""
    new: str
    """A group of the new protocol with one member."""

    def fresh(self, partitions: int = 1) -> str:
        """A topic that a request may change."""
        return self.both.create_topic(unused(), partitions)


Requests = Callable[[Scene, int], Iterator[Message]]
"""Of an API, in a version."""


def unused() -> str:
    """A name that nothing has."""
    return f"mixed-{next(_numbers)}"


def batch(count: int = 1) -> bytes:
    records = [(NOW + number, b"k", b"v", ()) for number in range(count)]
    return bytes(encode_batch(records))


def prepare(both: BothBrokers) -> Scene:
    topic = both.create_topic(unused(), 2)
    records = [{"index": index, "records": batch(5)} for index in (0, 1)]
    data = [{"name": topic, "partition_data": records}]
    both.same("produce", 9, acks=-1, timeout_ms=5000, topic_data=data)
    before = [{"name": topic, "partitions": [{"partition_index": 1, "offset": 3}]}]
    both.same("delete_records", 2, topics=before, timeout_ms=5000)
    compacted = both.create_topic(unused(), 1, cleanup_policy="compact")
    scene = Scene(both, topic, compacted, unused(), unused(), unused())
    commit(scene, scene.group)
    join(scene, scene.joined)
    commit(scene, scene.joined, member_id=MINE, generation_id_or_member_epoch=1)
    member = {"group_id": scene.new, "member_id": "m", "member_epoch": 0, "topic_partitions": ()}
    timeout = {"rebalance_timeout": timedelta(minutes=1), "subscribed_topic_names": (topic,)}
    both.same("consumer_group_heartbeat", 1, **member, **timeout)
    return scene


def commit(scene: Scene, group: str, **member: Any) -> None:
    places = [{"partition_index": 0, "committed_offset": 5, "committed_metadata": "m"}]
    topics = [{"name": scene.topic, "partitions": places}]
    scene.both.same("offset_commit", 7, group_id=group, topics=topics, **member)


def join(scene: Scene, group: str) -> None:
    """``MINE`` is from now on the member that has joined here."""
    member = {"group_id": group, "session_timeout_ms": 1_800_000, "rebalance_timeout_ms": 60_000}
    kind = {"member_id": "", "protocol_type": "consumer", "protocols": _PROTOCOLS}
    scene.both.same("join_group", 3, **member, **kind)
    mine = [{"member_id": MINE, "assignment": b""}]
    known = {"group_id": group, "generation_id": 1, "member_id": MINE}
    scene.both.same("sync_group", 3, **known, assignments=mine)


def by_name(scene: Scene, field: str, places: list[Any], name: str = "name") -> list[Message]:
    """A topic that is there among some that are not; the last one is internal."""
    names = ("no-such", scene.topic, "a b", "", INTERNAL)
    return [{name: topic, field: places} for topic in names]


def by_id(scene: Scene, field: str, places: list[Any]) -> list[Message]:
    """As ``by_name``."""
    ids = (TopicId(scene.topic), UNKNOWN_ID, TopicId(INTERNAL))
    return [{"topic_id": topic_id, field: places} for topic_id in ids]
