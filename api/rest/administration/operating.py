"""Operating the broker: cache, facts about it, producer ids."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

import tidelog
from tidelog.api.caller import (
    ALTER,
    ALTER_CONFIGS,
    DESCRIBE,
    DESCRIBE_CONFIGS,
    IDEMPOTENT_WRITE,
    READ,
)
from tidelog.api.errors import ApiError
from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.administration.models import (
    AlterBrokerSettings,
    AlterCache,
    BrokerOut,
    BrokerSettingList,
    BrokerSettingOut,
    CacheNumbers,
    CacheOut,
    Dropped,
    Index,
    Limits,
    ProducerOut,
    WarmCache,
    Warmed,
)
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.fetch import BYTES_MAX, RECORDS_MAX, WAIT_MS_MAX
from tidelog.api.rest.setting_text import setting_changes
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS
from tidelog.broker.settings.changing_settings import CHANGEABLE
from tidelog.storage.cache.cache_stats import CacheStats

_WARM_BYTES = 1024 * 1024


def routes(context: RestContext) -> APIRouter:
    """The router."""
    router = APIRouter(tags=["operating"])
    _cache_routes(context, router)
    _broker_routes(context, router)
    return router


def _cache_routes(context: RestContext, router: APIRouter) -> None:
    """Where things are, and the cache."""
    broker = context.broker

    @router.get("/", responses=errors())
    async def index(request: Request) -> Index:
        """Where things are."""
        found = Index(version=tidelog.__version__, kafka=context.addresses.kafka)
        return found.below(request.scope["root_path"])

    @router.get("/v1/cache", responses=errors())
    async def show_cache() -> CacheOut:
        """What the read cache holds and how often it answers."""
        context.access.cluster(DESCRIBE)
        return _cache(context)

    @router.patch("/v1/cache", responses=errors())
    async def alter_cache(body: AlterCache) -> CacheOut:
        """Change the budget or the time to live until the next start."""
        context.access.cluster(ALTER)
        if body.budget_bytes is not None:
            broker.cache.budget_bytes = body.budget_bytes
        if body.ttl_ms is not None:
            broker.cache.ttl_ms = body.ttl_ms or None
        return _cache(context)

    @router.post("/v1/cache:warm", responses=errors(404, 416))
    async def warm_cache(body: WarmCache) -> Warmed:
        """Read a range into the cache."""
        partition = context.access.topic(body.topic, READ).partition(body.partition)
        return await _warm(context, partition, body.from_offset, body.to_offset)

    @router.delete("/v1/cache", responses=errors())
    async def drop_cache(
        tag: Annotated[
            str,
            Query(
                description="topic:NAME or partition:NAME-N",
                examples=["topic:orders"],
                pattern=r"^(topic|partition):.+$",
            ),
        ],
    ) -> Dropped:
        """Drop what is cached under a tag."""
        context.access.cluster(ALTER)
        return Dropped(entries=broker.cache.drop_tag(tag))


def _broker_routes(context: RestContext, router: APIRouter) -> None:
    """Facts about the broker, its settings, producer ids."""
    broker = context.broker

    @router.get("/v1/broker", responses=errors())
    async def show_broker() -> BrokerOut:
        """Version, uptime, addresses, limits."""
        context.access.cluster(DESCRIBE)
        return _broker(context)

    @router.get("/v1/broker/settings", responses=errors())
    async def show_broker_settings() -> BrokerSettingList:
        """Every setting of the broker, its value and where that is from."""
        context.access.cluster(DESCRIBE_CONFIGS)
        return _settings(context)

    @router.patch("/v1/broker/settings", responses=errors(507))
    async def alter_broker_settings(body: AlterBrokerSettings) -> BrokerSettingList:
        """Change settings while the broker runs (null resets one); it keeps them when restarted."""
        context.access.cluster(ALTER_CONFIGS)
        changes = setting_changes(BROKER_SETTINGS, body.settings)
        await broker.running_settings.alter(changes, validate_only=body.validate_only)
        return _settings(context)

    @router.post("/v1/producers", status_code=201, responses=errors(507), tags=["records"])
    async def new_producer() -> ProducerOut:
        """An id for a stream of retry-safe batches (`Producer-Id`, `-Epoch`, `-Sequence`)."""
        context.access.cluster(IDEMPOTENT_WRITE)
        return ProducerOut(producer_id=await broker.producer_ids.allocate(), producer_epoch=0)


def _settings(context: RestContext) -> BrokerSettingList:
    broker = context.broker
    in_use = {
        "node.id": str(broker.node_id),
        "broker.id": str(broker.node_id),
        "log.dirs": broker.data_dir,
        "listeners": ",".join(context.addresses.listeners),
    }
    return BrokerSettingList(
        settings=[
            BrokerSettingOut(
                name=one.name,
                value=in_use.get(one.name, one.value),
                default=one.setting.default,
                source=one.source,
                changeable=one.name in CHANGEABLE,
                documentation=one.setting.documentation,
            )
            for one in broker.settings.describe()
        ]
    )


def _cache(context: RestContext) -> CacheOut:
    cache = context.broker.cache
    return CacheOut(
        budget_bytes=cache.budget_bytes,
        used_bytes=cache.used_bytes,
        ttl_ms=cache.ttl_ms,
        total=_numbers(cache.stats()),
        topics={topic: _numbers(stats) for topic, stats in cache.topic_stats().items()},
    )


def _numbers(stats: CacheStats) -> CacheNumbers:
    return CacheNumbers(
        hits=stats.hits,
        misses=stats.misses,
        hit_rate=stats.hit_rate,
        hit_bytes=stats.hit_bytes,
        page_hits=stats.page_hits,
        page_misses=stats.page_misses,
        evictions=stats.evictions,
        bytes=stats.bytes,
        entries=stats.entries,
        hit_latency_mean_ns=stats.hit_latency_mean_ns,
        hit_latency_p99_ns=stats.hit_latency_p99_ns,
    )


async def _warm(context: RestContext, partition: Partition, offset: int, end: int) -> Warmed:
    """Read from ``offset`` up to ``end``, as much as the cache can hold."""
    if offset > end:
        raise ApiError(422, "invalid_parameter", "from_offset is beyond to_offset")
    cache = context.broker.cache
    size = 0
    while offset < min(end, partition.high_watermark) and size < cache.budget_bytes:
        fetched = await partition.read(offset, _WARM_BYTES, hot=True)
        size += fetched.size
        offset = fetched.next_offset
    return Warmed(bytes=size, next_offset=offset)


def _broker(context: RestContext) -> BrokerOut:
    broker = context.broker
    topics = broker.topics()
    addresses = context.addresses
    return BrokerOut(
        version=tidelog.__version__,
        cluster_id=broker.cluster_id,
        node_id=broker.node_id,
        now_ms=broker.clock.now_ms(),
        uptime_ms=broker.clock.monotonic_ms() - broker.started_ms,
        engine="local",
        http=addresses.http,
        kafka=addresses.kafka,
        listeners=addresses.listeners,
        topics=len(topics),
        partitions=sum(len(topic.partitions) for topic in topics),
        limits=Limits(
            max_body_bytes=broker.settings["http.max.body.bytes"],
            max_header_bytes=broker.settings["http.max.header.bytes"],
            max_message_bytes=broker.settings["message.max.bytes"],
            fetch_records=RECORDS_MAX,
            fetch_bytes=BYTES_MAX,
            wait_ms=WAIT_MS_MAX,
        ),
    )
