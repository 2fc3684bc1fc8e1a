"""Retention: what the segments are, what would go and when, run it now, delete records."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tidelog.api.caller import DELETE, DESCRIBE
from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.administration.models import (
    DeletedRecords,
    ExpiredSegment,
    InDigits,
    NextSegment,
    PartitionCompaction,
    PartitionRetention,
    RetentionOut,
    RunRetention,
    SegmentList,
    SegmentOut,
)
from tidelog.api.rest.context import RestContext
from tidelog.broker.local.housekeeping import PartitionPlan
from tidelog.broker.partition import Partition
from tidelog.broker.topic import Topic


def routes(context: RestContext) -> APIRouter:
    """The router."""
    broker = context.broker
    router = APIRouter(prefix="/v1/topics/{topic:name}", tags=["retention"])

    @router.get("/segments", responses=errors(404))
    async def list_segments(topic: str) -> SegmentList:
        """Every segment of every partition, oldest first."""
        found: list[SegmentOut] = []
        for partition in list(context.access.topic(topic, DESCRIBE).partitions):
            found += await _segments(context, partition)
        return SegmentList(segments=found)

    @router.get("/retention", responses=errors(404))
    async def preview_retention(topic: str) -> RetentionOut:
        """What would go now and why, what goes next and when, what holds it back."""
        now_ms = broker.clock.now_ms()
        found = context.access.topic(topic, DESCRIBE)
        plans = await broker.housekeeping.plan(found, now_ms)
        return await _retention(context, found, now_ms, True, plans)

    @router.post("/retention:run", responses=errors(404, 507))
    async def run_retention(topic: str, body: RunRetention | None = None) -> RetentionOut:
        """Apply retention now, or with `dry_run` only say what would go."""
        now_ms = broker.clock.now_ms()
        dry_run = body is not None and body.dry_run
        work = broker.housekeeping.plan if dry_run else broker.housekeeping.retain
        found = context.access.topic(topic, DESCRIBE if dry_run else DELETE)
        return await _retention(context, found, now_ms, dry_run, await work(found, now_ms))

    @router.delete("/partitions/{partition}/records", responses=errors(404, 416, 507))
    async def delete_records(
        topic: str,
        partition: Annotated[int, InDigits],
        before_offset: Annotated[
            int, InDigits, Query(ge=-1, le=2**63 - 1, description="-1 deletes everything")
        ],
    ) -> DeletedRecords:
        """Delete the records before an offset."""
        found = context.access.topic(topic, DELETE).partition(partition)
        start_offset = await found.delete_records(before_offset)
        return DeletedRecords(partition=partition, start_offset=start_offset)

    return router


async def _segments(context: RestContext, partition: Partition) -> list[SegmentOut]:
    cache = context.broker.cache
    cleaned_offset = partition.facts().cleaned_offset
    return [
        SegmentOut(
            partition=partition.index,
            base_offset=info.base_offset,
            next_offset=info.next_offset,
            records=info.next_offset - info.base_offset,
            bytes=info.bytes,
            first_timestamp=info.first_timestamp,
            last_timestamp=info.last_timestamp,
            sealed=info.sealed,
            cleaned=info.next_offset <= cleaned_offset,
            cached_bytes=cache.cached_bytes(partition.log_id, info.base_offset, info.next_offset),
        )
        for info in await partition.segments()
    ]


async def _retention(
    context: RestContext, topic: Topic, now_ms: int, dry_run: bool, plans: list[PartitionPlan]
) -> RetentionOut:
    return RetentionOut(
        now_ms=now_ms,
        dry_run=dry_run,
        partitions=[
            PartitionRetention(
                partition=number,
                expired=[ExpiredSegment(**gone._asdict()) for gone in plan.expired],
                next=None if plan.next is None else NextSegment(**plan.next._asdict()),
                held=[ExpiredSegment(**held._asdict()) for held in plan.held],
                held_by=list(plan.held_by),
                compaction=await _compaction(context, topic.partition(number), now_ms),
            )
            for number, plan in plans
        ],
    )


async def _compaction(
    context: RestContext, partition: Partition, now_ms: int
) -> PartitionCompaction | None:
    if not partition.facts().settings.compact:
        return None
    plan = await context.broker.compaction.plan(partition, now_ms)
    return PartitionCompaction(
        cleaned_offset=plan.cleaned_offset,
        clean_bytes=plan.clean_bytes,
        dirty_bytes=plan.dirty_bytes,
        dirty_ratio=plan.dirty_ratio,
        due=plan.reason,
    )
