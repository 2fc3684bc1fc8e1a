"""Consumer groups: a member's life, and every mistake one can make, on Apache Kafka and on us."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from tests.support.both_brokers import MINE, BothBrokers, TopicId
from tests.support.kafka_wire import Message
from tidelog.api.kafka.api_table import APIS

pytestmark = pytest.mark.xdist_group("apache_kafka_broker")

_APIS = {api.name: api for api in APIS.values()}
_PROTOCOLS = [{"name": "range", "metadata": b"\0\1\0\0\0\0\0\0\0\0"}]
_numbers = itertools.count()


def versions(api: str) -> Any:
    served = range(_APIS[api].min_version, _APIS[api].max_version + 1)
    return pytest.mark.parametrize("version", served)


def at_most(api: str, version: int) -> int:
    """The version, or the last one that the API has."""
    return min(version, _APIS[api].max_version)


@pytest.fixture
def group() -> str:
    return f"group-{next(_numbers)}"


@pytest.fixture(scope="module")
def topic(both: BothBrokers) -> str:
    return both.create_topic("of-groups", 2)


def commit_fields(group: str, topic: Any, version: int, **entry: Any) -> Message:
    named: Message = {"name": topic}
    if version >= 10:
        named = {"topic_id": topic if isinstance(topic, uuid.UUID) else TopicId(topic)}
    partition = {"partition_index": 0, "committed_offset": 5, "committed_metadata": "m", **entry}
    return {"group_id": group, "topics": [{**named, "partitions": [partition]}]}


@versions("offset_commit")
def test_commit_without_members(both: BothBrokers, group: str, topic: str, version: int) -> None:
    def commit(name: str = group, where: Any = topic, entry: Any = None, **member: Any) -> None:
        fields = commit_fields(name, where, version, **entry or {})
        both.same("offset_commit", version, **fields, **member)

    member = {"generation_id_or_member_epoch": 3, "member_id": "x"}
    commit(f"{group}-new", **member)
    for entry in ({}, {"partition_index": 9}, {"committed_offset": -5}):
        commit(entry=entry)
    for metadata in (None, "x" * 4096, "x" * 4097):
        commit(entry={"committed_metadata": metadata})
    commit(generation_id_or_member_epoch=3)
    commit(member_id="x")
    commit(**member)
    commit("")
    for unknown in ("no-such-topic", "a b") if version < 10 else (uuid.UUID(int=77),):
        commit(where=unknown)
    if version >= 7:
        commit(group_instance_id="i")
    both.same("offset_commit", version, group_id=group, topics=[])


@versions("offset_fetch")
def test_fetch_offsets(both: BothBrokers, group: str, topic: str, version: int) -> None:
    both.same("offset_commit", 7, **commit_fields(group, topic, 7))

    def fetch(name: str, topics: Any, **options: Any) -> None:
        if version < 8:
            both.same("offset_fetch", version, group_id=name, topics=topics, **options)
        else:
            groups = [{"group_id": name, "topics": topics}]
            both.same("offset_fetch", version, groups=groups, **options)

    known: Message = {"name": topic} if version < 10 else {"topic_id": TopicId(topic)}
    unknown: Message = {"name": "no-such"} if version < 10 else {"topic_id": uuid.UUID(int=77)}
    for name in (group, "no-such-group", ""):
        fetch(name, [{**known, "partition_indexes": [0, 1]}])
    fetch(group, [{**known, "partition_indexes": [0, 9, -1]}])
    fetch(group, [{**unknown, "partition_indexes": [0]}])
    fetch(group, [])
    if version >= 2:
        fetch(group, None)
        fetch("no-such-group", None)
    if version >= 7:
        fetch(group, [{**known, "partition_indexes": [0]}], require_stable=True)
    if version >= 8:
        groups = [{"group_id": name, "topics": None} for name in (group, "no-such-group")]
        both.same("offset_fetch", version, groups=groups)


@versions("join_group")
def test_life_of_a_member(both: BothBrokers, group: str, topic: str, version: int) -> None:
    """Joins, syncs, beats, commits, leaves, by the versions of the same age."""

    def ask(api: str, **fields: Any) -> None:
        both.same(api, at_most(api, version), **fields)

    def join(name: str = group, **options: Any) -> Message:
        fields = {"session_timeout_ms": 10_000, "rebalance_timeout_ms": 10_000, "member_id": ""}
        kind = {"protocol_type": "consumer", "protocols": _PROTOCOLS}
        return both.same("join_group", version, group_id=name, **{**fields, **kind, **options})

    for wrong in ({"session_timeout_ms": 1}, {"session_timeout_ms": 10**8}, {"member_id": "x"}):
        join(**wrong)
    join("")
    join(protocols=[])
    join(protocol_type="")
    joined = join()
    if joined["error_code"]:
        joined = join(member_id=MINE)
    assert (joined["error_code"], joined["generation_id"], joined["leader"]) == (0, 1, MINE)
    member = {"group_id": group, "generation_id": 1, "member_id": MINE}
    commit = {**commit_fields(group, topic, 7), "member_id": MINE}
    ask("heartbeat", **member)
    both.same("offset_commit", 7, **commit, generation_id_or_member_epoch=1)
    ask("describe_groups", groups=[group])
    names = {"protocol_type": "consumer", "protocol_name": "range"}
    if version >= 5:
        ask("sync_group", **member)
        ask("sync_group", **member, **{**names, "protocol_name": "other"})
        ask("sync_group", **member, **{**names, "protocol_type": "other"})
    for wrong in ({"generation_id": 7}, {"member_id": "zz"}):
        ask("sync_group", **{**member, **wrong}, **names)
    assignments = [{"member_id": MINE, "assignment": b"mine"}]
    ask("sync_group", **member, **names, assignments=assignments)
    ask("sync_group", **member, **names)
    ask("describe_groups", groups=[group, "no-such-group", ""])
    ask("describe_groups", groups=[group], include_authorized_operations=version >= 3)
    beats = ({}, {"generation_id": 9}, {"member_id": "zz"}, {"group_id": "none"}, {"group_id": ""})
    for wrong in beats:
        ask("heartbeat", **{**member, **wrong})
    for generation, known in ((1, MINE), (2, MINE), (-1, ""), (1, "zz")):
        fields = {**commit, "generation_id_or_member_epoch": generation, "member_id": known}
        both.same("offset_commit", 7, **fields)
    join(protocol_type="connect")
    join(protocols=[{"name": "other", "metadata": b""}])
    ask("delete_groups", groups_names=[group, group])
    ask("offset_delete", group_id=group, topics=offsets(topic, 0))
    same_line_in_the_list(both, group, at_most("list_groups", version), states_filter=["Stable"])
    leave(both, group, at_most("leave_group", version))
    ask("describe_groups", groups=[group])
    ask("offset_delete", group_id=group, topics=[*offsets(topic, 0, 9), *offsets("no-such", 0)])
    for name in ("no-such-group", ""):
        ask("offset_delete", group_id=name, topics=[])
    ask("delete_groups", groups_names=[group])
    ask("delete_groups", groups_names=[group, ""])


def offsets(topic: str, *partitions: int) -> list[Message]:
    return [{"name": topic, "partitions": [{"partition_index": index} for index in partitions]}]


def leave(both: BothBrokers, group: str, version: int) -> None:
    if version < 3:
        for name, member in (("no-such-group", MINE), (group, "zz"), (group, MINE)):
            both.same("leave_group", version, group_id=name, member_id=member)
        return
    unknown = {"member_id": "zz", "group_instance_id": None}
    static = {"member_id": "", "group_instance_id": "no-such-instance"}
    both.same("leave_group", version, group_id="no-such-group", members=[unknown])
    both.same("leave_group", version, group_id=group, members=[])
    mine = {"member_id": MINE, "group_instance_id": None}
    both.same("leave_group", version, group_id=group, members=[unknown, mine, static])


@versions("list_groups")
def test_list_groups(both: BothBrokers, group: str, topic: str, version: int) -> None:
    both.same("offset_commit", 7, **commit_fields(group, topic, 7))
    filters: list[Message] = [{}]
    if version >= 4:
        filters += [{"states_filter": [state]} for state in ("Empty", "empty", "Stable", "none")]
    if version >= 5:
        filters += [{"types_filter": [kind]} for kind in ("classic", "Consumer", "none")]
    for chosen in filters:
        same_line_in_the_list(both, group, version, **chosen)


def same_line_in_the_list(both: BothBrokers, group: str, version: int, **filters: Any) -> None:
    """The brokers have groups of other tests, too."""
    ours, theirs = (
        [one for one in answer["groups"] if one["group_id"] == group]
        for answer in both.ask("list_groups", version, **filters)
    )
    assert ours == theirs
