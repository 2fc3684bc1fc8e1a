"""``/v1/topics``: make, list, show, change and delete topics; look up offsets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tidelog.api.caller import ALTER, ALTER_CONFIGS, DELETE, DESCRIBE
from tidelog.api.errors import ApiError
from tidelog.api.http.target import path_of
from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.administration.models import (
    AlterTopic,
    CreateTopic,
    PartitionOffset,
    PartitionOut,
    SettingOut,
    TopicList,
    TopicOffsets,
    TopicOut,
    TopicRates,
    TopicSummary,
)
from tidelog.api.rest.administration.paging import Limit, PageToken, page
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.offset_spec import time_parameter
from tidelog.api.rest.setting_text import setting_changes, setting_texts
from tidelog.broker.errors import TopicExists
from tidelog.broker.partition import Partition
from tidelog.broker.settings.topic_settings import TOPIC_SETTINGS
from tidelog.broker.topic import Topic
from tidelog.broker.traffic import Traffic


def routes(context: RestContext) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/topics", tags=["topics"])
    _making(context, router)
    _changing(context, router)
    return router


def _making(context: RestContext, router: APIRouter) -> None:
    """Make, list, show."""
    broker = context.broker

    @router.post("", status_code=201, responses={200: {"model": TopicOut}, **errors(409, 507)})
    async def create_topic(body: CreateTopic, response: Response) -> TopicOut:
        """Create a topic; 200 where it exists and `if_not_exists` allows, or was only checked."""
        settings = setting_texts(TOPIC_SETTINGS, body.settings)
        try:
            context.access.check_create(body.name)
            topic = await broker.create_topic(
                body.name, body.partitions, settings, validate_only=body.validate_only
            )
        except TopicExists:
            if not body.if_not_exists:
                raise
            topic = context.access.topic(body.name, DESCRIBE)
            response.status_code = 200
        if body.validate_only:
            response.status_code = 200
        response.headers["Location"] = path_of("v1", "topics", topic.name)
        return _describe(topic)

    @router.get("", responses=errors())
    async def list_topics(
        prefix: str = "",
        include_internal: bool = False,
        limit: Limit = 1000,
        page_token: PageToken = None,
    ) -> TopicList:
        """Names, ids, sizes and rates, by name."""
        topics = [
            topic
            for topic in context.access.topics(DESCRIBE)
            if topic.name.startswith(prefix) and (include_internal or not topic.internal)
        ]
        shown, token = page(topics, limit, page_token, lambda topic: topic.name)
        return TopicList(
            topics=[_summary(topic, broker.traffic) for topic in shown], next_page_token=token
        )

    @router.get("/{topic:name}", responses=errors(404))
    async def show_topic(topic: str) -> TopicOut:
        """Partitions with offsets and sizes; settings with value, default and source."""
        return _describe(context.access.topic(topic, DESCRIBE))


def _changing(context: RestContext, router: APIRouter) -> None:
    """Change, delete, look up offsets."""
    broker = context.broker

    @router.patch("/{topic:name}", responses=errors(404, 507))
    async def alter_topic(topic: str, body: AlterTopic) -> TopicOut:
        """Change settings (null resets one), raise the partition count."""
        return _describe(await _alter(context, topic, body))

    @router.delete("/{topic:name}", status_code=204, responses=errors(404))
    async def delete_topic(topic: str) -> Response:
        """Delete the topic and its records."""
        context.access.topic(topic, DELETE)
        if not broker.settings["delete.topic.enable"]:
            raise ApiError(403, "deletion_disabled", "delete.topic.enable is false")
        await broker.delete_topic(topic)
        return Response(status_code=204)

    @router.get("/{topic:name}/offsets", responses=errors(404))
    async def topic_offsets(
        topic: str,
        timestamp: Annotated[
            str,
            Query(
                description="earliest, latest, or a time: ms since the epoch, RFC 3339, a day in "
                "UTC, now, or -1h for an hour ago",
                examples=["2013-07-04T00:00:00Z"],
            ),
        ] = "latest",
    ) -> TopicOffsets:
        """Per partition the earliest or latest offset, or the first at or after a time."""
        now_ms = broker.clock.now_ms()
        partitions = context.access.topic(topic, DESCRIBE).all_online()
        found = [await _offset(p, timestamp, now_ms) for p in partitions]
        return TopicOffsets(offsets=found)

    @router.post("/{topic:name}/damage:acknowledge", status_code=204, responses=errors(404))
    async def acknowledge_damage(topic: str) -> Response:
        """Stop reporting damage that recovery found; the damaged bytes stay kept."""
        context.access.cluster(ALTER)
        for partition in context.access.topic(topic, DESCRIBE).partitions:
            partition.acknowledge_damage()
        return Response(status_code=204)


async def _alter(context: RestContext, name: str, body: AlterTopic) -> Topic:
    """Check everything before anything is changed."""
    broker, access = context.broker, context.access
    topic = access.topic(name, ALTER if body.partitions is not None else ALTER_CONFIGS)
    if body.settings:
        access.topic(name, ALTER_CONFIGS)
    changes = setting_changes(TOPIC_SETTINGS, body.settings)
    await broker.alter_topic(name, changes, validate_only=True)
    if body.partitions is not None and body.partitions != len(topic.partitions):
        await broker.add_partitions(name, body.partitions, validate_only=body.validate_only)
    if changes and not body.validate_only:
        await broker.alter_topic(name, changes)
    return topic


async def _offset(partition: Partition, timestamp: str, now_ms: int) -> PartitionOffset:
    found: tuple[int, int] | None = None
    if timestamp == "earliest":
        offset = partition.start_offset
    else:
        offset = partition.high_watermark
        if timestamp != "latest":
            timestamp_ms = time_parameter(timestamp, "timestamp", now_ms)
            found = await partition.offset_for_timestamp(timestamp_ms)
    if found is not None:
        offset = found[0]
    time = None if found is None else found[1]
    return PartitionOffset(partition=partition.index, offset=offset, timestamp=time)


def _summary(topic: Topic, traffic: Traffic) -> TopicSummary:
    partitions = topic.partitions
    return TopicSummary(
        name=topic.name,
        id=str(topic.id),
        internal=topic.internal,
        partitions=len(partitions),
        bytes=sum(p.size_bytes for p in partitions),
        records=sum(p.end_offset - p.start_offset for p in partitions),
        rates=TopicRates(**traffic.rates(topic)._asdict()),
    )


def _partition(partition: Partition) -> PartitionOut:
    facts = partition.facts()
    return PartitionOut(
        partition=partition.index,
        start_offset=partition.start_offset,
        end_offset=partition.end_offset,
        high_watermark=partition.high_watermark,
        bytes=partition.size_bytes,
        segments=facts.segments,
        leader_epoch=partition.leader_epoch,
        writes_stopped=partition.writes_stopped,
        offline=partition.offline is not None,
        damage=[cut.kept_as for cut in facts.damage],
    )


def _describe(topic: Topic) -> TopicOut:
    return TopicOut(
        name=topic.name,
        id=str(topic.id),
        internal=topic.internal,
        partitions=[_partition(partition) for partition in topic.partitions],
        settings=[
            SettingOut(
                name=value.name,
                value=value.value,
                default=value.default,
                source="topic" if value.source == "own" else value.source,
                documentation=value.setting.documentation,
            )
            for value in topic.settings.describe()
        ],
    )
