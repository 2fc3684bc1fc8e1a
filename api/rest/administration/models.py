"""Bodies of the administrative HTTP calls. Names are snake_case; times in ms, sizes in bytes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from tidelog.api.http.parameters import is_integer

Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]
PartitionNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _in_digits(value: object) -> object:
    """Pydantic reads `1_000`, `+5` and `5.0` as numbers, which other parameters are not."""
    if isinstance(value, str) and not is_integer(value):
        problem = "{value} is not a whole number in digits"
        raise PydanticCustomError("whole_number", problem, {"value": repr(value)})
    return value


InDigits = BeforeValidator(_in_digits)
"""Of a number in a path or a query."""


class In(BaseModel):
    """A request body: unknown fields are refused, numbers are not made from text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorDetail(BaseModel):
    code: str = Field(examples=["unknown_topic"])
    message: str = Field(examples=["there is no topic 'orders'"])
    details: dict[str, Any] = Field(examples=[{"topic": "orders"}])


class ErrorBody(BaseModel):
    """Every error has this form; codes are stable words."""

    error: ErrorDetail


class CreateTopic(In):
    name: str = Field(examples=["orders"])
    partitions: int | None = Field(default=None, ge=1, le=10_000, examples=[3])
    settings: dict[str, str | int | float | bool] = Field(
        default_factory=dict, examples=[{"retention.ms": 604800000}]
    )
    if_not_exists: bool = False
    validate_only: bool = False


class AlterTopic(In):
    settings: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, description="null resets a setting"
    )
    partitions: int | None = Field(default=None, ge=1, le=10_000)
    validate_only: bool = False


class PartitionOut(BaseModel):
    partition: int
    start_offset: int
    end_offset: int
    high_watermark: int
    bytes: int
    segments: int
    leader_epoch: int
    writes_stopped: str | None = Field(description="why no more writes are taken")
    offline: bool = Field(description="nothing can be read either: the log could not be opened")
    damage: list[str] = Field(description="files that recovery cut because they were damaged")


class SettingOut(BaseModel):
    name: str
    value: str
    default: str
    source: Literal["topic", "broker", "default"]
    documentation: str


class TopicRates(BaseModel):
    """Each a second, over the last minute."""

    appended_bytes: float
    appended_records: float
    fetched_bytes: float


class TopicSummary(BaseModel):
    name: str
    id: str
    internal: bool
    partitions: int
    bytes: int
    records: int
    rates: TopicRates


class TopicList(BaseModel):
    topics: list[TopicSummary]
    next_page_token: str | None


class TopicOut(BaseModel):
    name: str
    id: str
    internal: bool
    partitions: list[PartitionOut]
    settings: list[SettingOut]


class PartitionOffset(BaseModel):
    partition: int
    offset: int
    timestamp: int | None = Field(description="of the record found by time")


class TopicOffsets(BaseModel):
    offsets: list[PartitionOffset]


class SegmentOut(BaseModel):
    partition: int
    base_offset: int
    next_offset: int
    records: int = Field(description="Offsets that it spans; once cleaned it may hold fewer.")
    bytes: int
    first_timestamp: int
    last_timestamp: int
    sealed: bool
    cleaned: bool = Field(description="Whether compaction has been over it.")
    cached_bytes: int


class SegmentList(BaseModel):
    segments: list[SegmentOut]


class ExpiredSegment(BaseModel):
    base_offset: int
    next_offset: int
    bytes: int
    reason: Literal["start_offset", "time", "size", "max_time", "max_size"]


class NextSegment(BaseModel):
    base_offset: int
    bytes: int
    at_ms: int | None
    after_bytes: int | None


CompactionReason = TypeAliasType("CompactionReason", Literal["dirty_ratio", "max_lag"])


class PartitionCompaction(BaseModel):
    """What compaction has been over, what waits for it, and whether that is enough for a pass."""

    cleaned_offset: int
    clean_bytes: int
    dirty_bytes: int
    dirty_ratio: float
    due: CompactionReason | None


class PartitionRetention(BaseModel):
    partition: int
    expired: list[ExpiredSegment]
    next: NextSegment | None
    held: list[ExpiredSegment]
    held_by: list[str]
    compaction: PartitionCompaction | None = Field(description="Null unless it is compacted.")


class RetentionOut(BaseModel):
    now_ms: int
    dry_run: bool
    partitions: list[PartitionRetention]


class RunRetention(In):
    dry_run: bool = False


class DeletedRecords(BaseModel):
    partition: int
    start_offset: int


class ProducerOut(BaseModel):
    producer_id: int
    producer_epoch: int


class CacheNumbers(BaseModel):
    hits: int
    misses: int
    hit_rate: float
    hit_bytes: int
    page_hits: int
    page_misses: int
    evictions: int
    bytes: int
    entries: int
    hit_latency_mean_ns: int
    hit_latency_p99_ns: int


class CacheOut(BaseModel):
    budget_bytes: int
    used_bytes: int
    ttl_ms: int | None
    total: CacheNumbers
    topics: dict[str, CacheNumbers]


class WarmCache(In):
    topic: str
    partition: PartitionNumber = 0
    from_offset: Offset
    to_offset: Offset


class Warmed(BaseModel):
    bytes: int
    next_offset: int


class Dropped(BaseModel):
    entries: int


class AlterCache(In):
    budget_bytes: int | None = Field(default=None, ge=0, le=2**62)
    ttl_ms: int | None = Field(default=None, ge=0, le=2**62, description="0 for none")


class AlterBrokerSettings(In):
    settings: dict[str, str | int | float | bool | None] = Field(
        description="null resets a setting to what the broker was started with",
        examples=[{"log.retention.ms": "7d"}],
    )
    validate_only: bool = False


class BrokerSettingOut(BaseModel):
    name: str
    value: str | None = Field(description="null: it is not set")
    default: str | None
    source: str = Field(
        description="default, flag, environment or a file; dynamic where it was set while the "
        "broker ran, dynamic_default where that was done for all brokers"
    )
    changeable: bool = Field(description="it can be changed while the broker runs")
    documentation: str


class BrokerSettingList(BaseModel):
    settings: list[BrokerSettingOut]


class Limits(BaseModel):
    max_body_bytes: int
    max_header_bytes: int
    max_message_bytes: int
    fetch_records: int
    fetch_bytes: int
    wait_ms: int


class Index(BaseModel):
    name: str = "Tidelog"
    version: str
    kafka: str | None
    documentation: str = "/docs"
    openapi: str = "/openapi.json"
    topics: str = "/v1/topics"
    groups: str = "/v1/groups"
    broker: str = "/v1/broker"
    health: str = "/health/ready"
    metrics: str = "/metrics"

    def below(self, prefix: str) -> Index:
        """With the paths as clients of a proxy see them."""
        paths = {name: prefix + path for name, path in self if str(path).startswith("/")}
        return self.model_copy(update=paths)


class BrokerOut(BaseModel):
    version: str
    cluster_id: str
    node_id: int
    now_ms: int = Field(description="by the broker's clock")
    uptime_ms: int
    engine: str
    http: str
    kafka: str | None
    listeners: list[str] = Field(description="all of them, as http://HOST:PORT, kafka://HOST:PORT")
    topics: int
    partitions: int
    limits: Limits
