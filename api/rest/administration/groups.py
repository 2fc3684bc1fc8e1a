"""``/v1/groups``: what groups have committed and how far they are behind; commit, reset, delete."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Response

from tidelog.api.caller import CLUSTER, DELETE, DESCRIBE, GROUP, READ
from tidelog.api.errors import ApiError
from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.administration.group_models import (
    AssignedPartition,
    CommitOffsets,
    CommittedOffsets,
    GroupList,
    GroupOut,
    GroupSummary,
    LagOut,
    MemberOut,
    OffsetOut,
    ResetChange,
    ResetOffsets,
    ResetResult,
)
from tidelog.api.rest.administration.paging import Limit, PageToken, page
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.offset_spec import time_parameter
from tidelog.api.units import DURATION_EXAMPLES, parse_duration
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.errors import GroupNotEmpty, UnknownMember
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata, ResetTarget, TopicPartition


def routes(context: RestContext) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/groups", tags=["groups"])
    _showing(context, router)
    _offsets(context, router)
    return router


def _showing(context: RestContext, router: APIRouter) -> None:
    """List, show, delete."""
    coordinator = context.coordinator

    @router.get("", responses=errors())
    async def list_groups(
        prefix: str = "", limit: Limit = 1000, page_token: PageToken = None
    ) -> GroupList:
        """Every group, by name."""
        access = context.access
        of_all = access.may(DESCRIBE, CLUSTER)
        groups = [
            group
            for group in coordinator.groups()
            if group.group.startswith(prefix)
            and (of_all or access.may(DESCRIBE, GROUP, group.group))
        ]
        shown, token = page(groups, limit, page_token, lambda group: group.group)
        return GroupList(
            groups=[
                GroupSummary(
                    group=group.group,
                    state=group.state,
                    type=group.group_type,
                    protocol_type=group.protocol_type,
                    members=group.members,
                )
                for group in shown
            ],
            next_page_token=token,
        )

    @router.get("/{group:name}", responses=errors(404))
    async def show_group(group: str) -> GroupOut:
        """State, members, assignments, committed offsets and lag, per partition and in total."""
        context.access.group(group, DESCRIBE)
        return await _describe(coordinator, group)

    @router.delete("/{group:name}", status_code=204, responses=errors(404, 409, 507))
    async def delete_group(group: str) -> Response:
        """Delete a group without members, its offsets too."""
        context.access.group(group, DELETE)
        await coordinator.delete(group)
        return Response(status_code=204)


def _offsets(context: RestContext, router: APIRouter) -> None:
    """What groups have committed."""
    coordinator = context.coordinator

    @router.get("/{group:name}/offsets", responses=errors(404))
    async def show_offsets(group: str) -> CommittedOffsets:
        """What the group has committed."""
        context.access.group(group, DESCRIBE)
        coordinator.describe(group)
        return committed_offsets(coordinator, group)

    @router.put("/{group:name}/offsets", responses=errors(404, 409, 507))
    async def commit_offsets(group: str, body: CommitOffsets) -> CommittedOffsets:
        """Commit; `offset` is the next one to read, kept as given. Durable when this answers.

        While the group has members only they commit.
        """
        access = context.access
        access.group(group, READ)
        for one in body.offsets:
            access.check_topic(one.topic, READ)
        try:
            await coordinator.offsets.commit(group, offsets_of(body))
        except UnknownMember:
            raise GroupNotEmpty(group) from None
        return committed_offsets(coordinator, group)

    @router.delete("/{group:name}/offsets", status_code=204, responses=errors(404, 409, 507))
    async def delete_offsets(group: str, topic: str) -> Response:
        """Forget what the group has committed for a topic."""
        context.access.group(group, DELETE)
        context.access.check_topic(topic, READ)
        await coordinator.offsets.delete(group, topic)
        return Response(status_code=204)

    @router.post("/{group:name}/offsets:reset", responses=errors(404, 409, 507))
    async def reset_offsets(group: str, body: ResetOffsets) -> ResetResult:
        """Move a group; refused while it has members unless `force`."""
        access = context.access
        access.group(group, READ)
        for name in {*(body.topics or ()), *(one.topic for one in body.partitions or ())}:
            access.check_topic(name, READ)
        places = [(one.topic, one.partition) for one in body.partitions or ()]
        changes = await coordinator.offsets.reset(
            group,
            _target(body, context.broker.clock.now_ms()),
            topics=body.topics,
            partitions=places or None,
            dry_run=body.dry_run,
            force=body.force,
        )
        return ResetResult(
            dry_run=body.dry_run,
            changes=[ResetChange(**change._asdict()) for change in changes],
        )


def _target(body: ResetOffsets, now_ms: int) -> ResetTarget:
    if body.to in ("earliest", "latest"):
        return ResetTarget(body.to)
    value = body.value
    if body.to == "timestamp" and isinstance(value, str):
        value = time_parameter(value, "value", now_ms)
    if body.to == "duration" and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = parse_duration(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        needed = (
            f"a duration, as {DURATION_EXAMPLES}," if body.to == "duration" else "a whole number"
        )
        message = f"a reset to {body.to} needs {needed} as value"
        raise ApiError(422, "invalid_reset", message, to=body.to)
    return ResetTarget(body.to, value)


def offsets_of(body: CommitOffsets) -> dict[TopicPartition, OffsetAndMetadata]:
    """What a body asks to commit."""
    return {
        (one.topic, one.partition): OffsetAndMetadata(one.offset, -1, one.metadata)
        for one in body.offsets
    }


def committed_offsets(coordinator: Coordinator, group: str) -> CommittedOffsets:
    return CommittedOffsets(
        offsets=[
            OffsetOut(
                topic=topic,
                partition=partition,
                offset=committed.offset,
                metadata=committed.metadata,
                commit_timestamp=committed.commit_timestamp_ms,
            )
            for (topic, partition), committed in sorted(
                coordinator.offsets.committed(group).items()
            )
        ]
    )


async def _describe(coordinator: Coordinator, group: str) -> GroupOut:
    described = coordinator.describe(group)
    lag = await coordinator.lag(group)
    return GroupOut(
        group=group,
        state=described.state,
        type=described.group_type,
        protocol=described.protocol,
        generation=described.generation,
        members=[
            MemberOut(
                member_id=member.member_id,
                instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                topics=None if member.topics is None else list(member.topics),
                partitions=[
                    AssignedPartition(topic=topic, partition=partition)
                    for topic, partition in member.partitions
                ],
            )
            for member in described.members
        ],
        lag=[
            LagOut(
                topic=one.topic,
                partition=one.partition,
                committed_offset=one.committed,
                end_offset=one.end_offset,
                lag=one.lag,
                lag_seconds=one.lag_seconds,
                member_id=one.member_id,
            )
            for one in lag
        ],
        total_lag=sum(one.lag or 0 for one in lag),
    )
