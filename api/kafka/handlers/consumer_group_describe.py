"""ConsumerGroupDescribe, 0-1: groups of the new protocol in its own words.

From version 1 a member's type is told: 0 for one that takes part through the classic protocol,
else 1. Groups of the classic protocol are not there for this API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidelog.api.caller import DESCRIBE, GROUP
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.errors import GroupError, InvalidGroupId
from tidelog.consumer_groups.records.offsets import ConsumerMemberDescription, TopicIdPartitionName

API = Api(key=69, name="consumer_group_describe", versions=(0, 1), flexible_from=0)

_CLASSIC, _CONSUMER = 0, 1


def handle(call: Call, request: Any) -> Values:
    """One answer for each group."""
    groups = [_describe(call, group) for group in request.group_ids]
    if request.include_authorized_operations:
        for group in groups:
            if not group["error_code"]:
                group["authorized_operations"] = call.access.operations(GROUP, group["group_id"])
    return {"groups": groups}


def _describe(call: Call, name: str) -> dict[str, Any]:
    try:
        if not name:
            raise InvalidGroupId(name)
        call.access.group(name, DESCRIBE)
        group = call.coordinator.consumer.describe(name)
    except GroupError as error:
        return {"error_code": code_of(error), "error_message": str(error), "group_id": name}
    return {
        "error_code": 0,
        "group_id": name,
        "group_state": group.state,
        "group_epoch": group.epoch,
        "assignment_epoch": group.target_epoch,
        "assignor_name": group.assignor,
        "members": [_member(member) for member in group.members],
    }


def _member(member: ConsumerMemberDescription) -> dict[str, Any]:
    return {
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "rack_id": member.rack_id,
        "member_epoch": member.member_epoch,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "subscribed_topic_names": member.topic_names,
        "subscribed_topic_regex": member.topic_regex or "",
        "assignment": _assignment(member.assigned),
        "target_assignment": _assignment(member.target),
        "member_type": _CLASSIC if member.is_classic else _CONSUMER,
    }


def _assignment(places: Iterable[TopicIdPartitionName]) -> dict[str, Any]:
    topics: dict[str, dict[str, Any]] = {}
    for topic_id, name, partition in places:
        topic = {"topic_id": topic_id, "topic_name": name, "partitions": []}
        topics.setdefault(name, topic)["partitions"].append(partition)
    return {"topic_partitions": list(topics.values())}
