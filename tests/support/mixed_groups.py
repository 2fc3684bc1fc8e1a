"""Requests about groups, each of which mixes what is good with what is bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.both_brokers import MINE, TopicId
from tests.support.kafka_wire import Message
from tests.support.mixed_scene import PLACES, Requests, Scene, by_id, by_name, commit, join, unused

_NO_GROUP = "no-such-group"
_MEMBERS = (("", -1), (MINE, 1), (MINE, 7), ("x", 1), ("x", -1), (MINE, -1))


def offset_commit(scene: Scene, version: int) -> Iterator[Message]:
    entry = {"committed_offset": 5, "committed_metadata": "m"}
    places = [{"partition_index": index, **entry} for index in PLACES]
    too_long = [{"partition_index": 0, **entry, "committed_metadata": "x" * 4097}]
    if version >= 10:
        topics = by_id(scene, "partitions", places)
        missing = topics[1:2]
        topics.append({"topic_id": TopicId(scene.compacted), "partitions": too_long})
    else:
        topics = by_name(scene, "partitions", places)
        missing = topics[:1]
        topics.append({"name": scene.compacted, "partitions": too_long})
    for group in (scene.group, scene.joined, scene.new, unused(), ""):
        for member_id, epoch in (*_MEMBERS, ("m", 1), ("m", 9)):
            member = {"member_id": member_id, "generation_id_or_member_epoch": epoch}
            for asked in (topics, missing):
                yield {"group_id": group, **member, "topics": asked}


def offset_fetch(scene: Scene, version: int) -> Iterator[Message]:
    by = by_id if version >= 10 else by_name
    topics = by(scene, "partition_indexes", list(PLACES))
    groups = (scene.group, scene.joined, scene.new, _NO_GROUP, "")
    if version < 8:
        yield from ({"group_id": group, "topics": topics} for group in groups)
        return
    yield {"groups": [{"group_id": group, "topics": topics} for group in groups]}
    mixed: Any = [(scene.group, None), (scene.group, topics), ("", None), (scene.joined, [])]
    yield {"groups": [{"group_id": group, "topics": one} for group, one in mixed]}
    if version >= 9:
        members = (("x", 0), ("x", -1), ("m", 9), ("", 3), ("m", 1))
        yield {
            "groups": [
                {"group_id": group, "topics": topics[:1], "member_id": name, "member_epoch": epoch}
                for group, (name, epoch) in zip(groups, members, strict=True)
            ]
        }


def offset_delete(scene: Scene, version: int) -> Iterator[Message]:
    places = [{"partition_index": index} for index in PLACES]
    group = unused()
    commit(scene, group)
    for name in (scene.joined, group, group, scene.new, _NO_GROUP, ""):
        yield {"group_id": name, "topics": by_name(scene, "partitions", places)}


def describe_groups(scene: Scene, version: int) -> Iterator[Message]:
    names = [scene.group, _NO_GROUP, scene.joined, "", scene.new, scene.group]
    yield {"groups": names}
    if version >= 3:
        yield {"groups": names, "include_authorized_operations": True}


def consumer_group_describe(scene: Scene, version: int) -> Iterator[Message]:
    names = (scene.new, _NO_GROUP, scene.joined, "", scene.group)
    for asks in (False, True):
        yield {"group_ids": names, "include_authorized_operations": asks}


def delete_groups(scene: Scene, version: int) -> Iterator[Message]:
    group = unused()
    commit(scene, group)
    yield {"groups_names": [group, _NO_GROUP, scene.joined, "", scene.new, group]}


def leave_group(scene: Scene, version: int) -> Iterator[Message]:
    groups = (scene.group, scene.new, _NO_GROUP, "")
    if version < 3:
        yield from ({"group_id": name, "member_id": "x"} for name in (*groups, scene.joined))
        return
    unknown = {"member_id": "x", "group_instance_id": None}
    static = {"member_id": "", "group_instance_id": "i"}
    both = {"member_id": "x", "group_instance_id": "i"}
    for name in (*groups, scene.joined):
        yield {"group_id": name, "members": [unknown, static, both, unknown]}
    group = unused()
    join(scene, group)
    mine = {"member_id": MINE, "group_instance_id": None}
    yield {"group_id": group, "members": [unknown, mine, static, mine, both]}


def find_coordinator(scene: Scene, version: int) -> Iterator[Message]:
    keys = [scene.group, _NO_GROUP, "", scene.group]
    for kind in (0, 9) if version >= 1 else (0,):
        named = {"key_type": kind} if version >= 1 else {}
        if version >= 4:
            yield {**named, "coordinator_keys": keys}
        else:
            yield from ({**named, "key": key} for key in keys)


GROUPS: dict[str, Requests] = {
    "offset_commit": offset_commit,
    "offset_fetch": offset_fetch,
    "offset_delete": offset_delete,
    "describe_groups": describe_groups,
    "consumer_group_describe": consumer_group_describe,
    "delete_groups": delete_groups,
    "leave_group": leave_group,
    "find_coordinator": find_coordinator,
}
