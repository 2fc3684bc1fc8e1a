"""``/v1/groups/{group}/members``: take part in a group by HTTP: join, poll, commit, leave."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from tidelog.api.caller import READ
from tidelog.api.http.target import path_of
from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.administration.group_models import (
    AssignedPartition,
    CommitCursor,
    CommitOffsets,
    CommittedOffsets,
    JoinedMember,
    JoinGroup,
    PollMember,
    PollReply,
)
from tidelog.api.rest.administration.groups import committed_offsets, offsets_of
from tidelog.api.rest.administration.poll import Poll
from tidelog.api.rest.context import RestContext
from tidelog.consumer_groups.hosted.cursor import encode_cursor
from tidelog.consumer_groups.hosted_members import HostedJoin, Standing

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="joins of a group with the same key are the same member: a safe retry",
    ),
]


def routes(context: RestContext) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/groups/{group:name}/members", tags=["groups"])
    poll = Poll(context)
    _entering(context, router)
    _polling(context, router, poll)
    _committing_and_leaving(context, router, poll)
    return router


def _entering(context: RestContext, router: APIRouter) -> None:
    hosted = context.coordinator.hosted

    @router.post("", status_code=201, responses=errors(404, 409, 507))
    async def join_group(
        group: str,
        body: JoinGroup,
        request: Request,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> JoinedMember:
        """Become a member of the group, beside others of any kind; the answer has a first cursor.

        A member that joins with the `instance_id` of an earlier HTTP member takes its place and
        its partitions.
        """
        access = context.access
        access.group(group, READ)
        for topic in body.topics:
            access.check_topic(topic, READ)
        standing = await hosted.join(
            HostedJoin(
                group=group,
                topics=tuple(sorted(set(body.topics))),
                session_timeout_ms=body.session_timeout_ms,
                auto_offset_reset=body.auto_offset_reset,
                instance_id=body.instance_id,
                key=idempotency_key,
                client_host="" if request.client is None else f"/{request.client.host}",
            )
        )
        member = standing.member_id
        try:
            response.headers["Location"] = path_of("v1", "groups", group, "members", member)
            return _joined(group, standing)
        except Exception:
            # A member that its caller never learns of would keep partitions from the others.
            await hosted.leave(group, member)
            raise


def _polling(context: RestContext, router: APIRouter, poll: Poll) -> None:
    @router.post(
        "/{member:name}/poll",
        response_class=Response,
        responses={200: {"model": PollReply}, **errors(404, 409, 500, 507)},
    )
    async def poll_member(group: str, member: str, body: PollMember, request: Request) -> Response:
        """Get the next records; what came before the cursor is committed unless `commit` is false.

        Safe to repeat: the same cursor gets the same records. A poll is a heartbeat; during a
        rebalance it says so and goes on by itself. Partitions that are `revoked` stay the
        member's until its next poll, which may be preceded by a commit.
        """

        async def is_gone() -> bool:
            connection = request.scope.get("connection")
            # Who sends nothing more may still read, and so gets its answer, but soon.
            return (connection is not None and connection.half_closed) or (
                await request.is_disconnected()
            )

        context.access.group(group, READ)
        content = await poll(group, member, body, is_gone)
        headers = {"Cache-Control": "no-store"}
        return Response(content, headers=headers, media_type="application/json")


def _committing_and_leaving(context: RestContext, router: APIRouter, poll: Poll) -> None:
    hosted = context.coordinator.hosted

    @router.post("/{member:name}/commit", responses=errors(404, 409, 507))
    async def commit_member(
        group: str, member: str, body: CommitCursor | CommitOffsets
    ) -> CommittedOffsets:
        """Commit what came before a cursor, or offsets of the member's partitions. Durable."""
        context.access.group(group, READ)
        if isinstance(body, CommitCursor):
            cursor = hosted.read_cursor(group, member, body.cursor)
            await hosted.commit_cursor(group, member, cursor)
        else:
            await hosted.commit(group, member, offsets_of(body))
        return committed_offsets(context.coordinator, group)

    @router.delete("/{member:name}", status_code=204, responses=errors(404, 409, 507))
    async def leave_group(group: str, member: str) -> Response:
        """Leave; the others get the partitions at once. Nothing is committed."""
        context.access.group(group, READ)
        await hosted.leave(group, member)
        poll.forget(group, member)
        return Response(status_code=204)


def _joined(group: str, standing: Standing) -> JoinedMember:
    return JoinedMember(
        member_id=standing.member_id,
        cursor=encode_cursor(group, standing.member_id, standing.cursor),
        generation=standing.cursor.generation,
        assignment=[
            AssignedPartition(topic=one.topic, partition=one.index) for one in standing.partitions
        ],
        rebalancing=standing.is_rebalancing,
    )
