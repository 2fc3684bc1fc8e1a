"""Bodies of the administrative HTTP calls. Names are snake_case; times in ms, sizes in bytes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]
PartitionNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]


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
    damage: list[str] = Field(description="files that recovery cut because they were damaged")


class SettingOut(BaseModel):
    name: str
    value: str
    default: str
    source: Literal["topic", "broker", "default"]
    documentation: str


class Rates(BaseModel):
    """Since the broker started."""

    appended_bytes: int
    appended_records: int
    fetched_bytes: int


class TopicSummary(BaseModel):
    name: str
    id: str
    internal: bool
    partitions: int
    bytes: int
    records: int
    rates: Rates


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
    records: int
    bytes: int
    first_timestamp: int
    last_timestamp: int
    sealed: bool
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


class PartitionRetention(BaseModel):
    partition: int
    expired: list[ExpiredSegment]
    next: NextSegment | None
    held: list[ExpiredSegment]
    held_by: list[str]


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


class OffsetIn(In):
    topic: str
    partition: PartitionNumber
    offset: Offset
    metadata: str = ""


class CommitOffsets(In):
    offsets: list[OffsetIn] = Field(min_length=1)


class OffsetOut(BaseModel):
    topic: str
    partition: int
    offset: int
    metadata: str
    commit_timestamp: int


class CommittedOffsets(BaseModel):
    offsets: list[OffsetOut]


class LagOut(BaseModel):
    topic: str
    partition: int
    committed_offset: int | None
    end_offset: int
    lag: int | None
    lag_seconds: float | None
    member_id: str | None


class AssignedPartition(BaseModel):
    topic: str
    partition: int


class JoinGroup(In):
    topics: list[str] = Field(min_length=1, max_length=1000, examples=[["orders"]])
    session_timeout_ms: int = Field(
        default=45_000, description="a member that does not poll for so long is given up"
    )
    instance_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=249,
        description="a name that stays: whoever joins with it next takes over the partitions",
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        default="earliest", description="where to begin where nothing is committed"
    )


class JoinedMember(BaseModel):
    member_id: str = Field(examples=["http-7f0c1a52-2f3e-4a52-9d5a-0f5a3c1f6b11"])
    cursor: str = Field(description="for the first poll")
    generation: int
    assignment: list[AssignedPartition]
    rebalancing: bool = Field(description="true: the assignment is not final, poll to go on")


class PollMember(In):
    cursor: str = Field(description="of the last reply; it says what is done with")
    max_records: int = Field(default=500, ge=1, le=10_000)
    max_bytes: int = Field(
        default=1024 * 1024, ge=1, le=64 * 1024 * 1024, description="one record always fits"
    )
    wait_ms: int = Field(
        default=0, ge=0, le=60_000, description="how long to wait for the first record"
    )
    commit: bool = Field(default=True, description="commit what came before the cursor")
    value: Literal["json", "text", "base64"] = Field(
        default="json", description="how values are shown"
    )


class PolledRecord(BaseModel):
    """A value comes in the field it would be produced with, as does a key."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    key_base64: str = ""
    value: Any = None
    value_text: str = ""
    value_base64: str = ""
    headers: Any


class PollReply(BaseModel):
    records: list[PolledRecord]
    cursor: str = Field(description="for the next poll, when these records are done with")
    generation: int
    assignment: list[AssignedPartition]
    revoked: list[AssignedPartition] = Field(
        description="partitions of the cursor that go to others with the next poll"
    )
    rebalancing: bool = Field(description="the group is between two assignments")


class CommitCursor(In):
    cursor: str


class MemberOut(BaseModel):
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    topics: list[str] | None
    partitions: list[AssignedPartition]


class GroupSummary(BaseModel):
    group: str
    state: str
    type: str
    protocol_type: str
    members: int


class GroupList(BaseModel):
    groups: list[GroupSummary]
    next_page_token: str | None


class GroupOut(BaseModel):
    group: str
    state: str
    type: str
    protocol: str
    generation: int
    members: list[MemberOut]
    lag: list[LagOut]
    total_lag: int


class ResetOffsets(In):
    to: Literal["earliest", "latest", "offset", "timestamp", "duration", "shift"]
    value: int | str | None = Field(
        default=None,
        description="the offset; the time (ms or RFC 3339); the duration in ms; the shift",
    )
    topics: list[str] | None = None
    partitions: list[AssignedPartition] | None = None
    dry_run: bool = False
    force: bool = False


class ResetChange(BaseModel):
    topic: str
    partition: int
    before: int | None
    after: int


class ResetResult(BaseModel):
    dry_run: bool
    changes: list[ResetChange]


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


class Health(BaseModel):
    status: Literal["ok", "recovering", "degraded", "stopping"]
    recovered: int
    total: int
    problems: list[str]


class Limits(BaseModel):
    max_body_bytes: int
    max_header_bytes: int
    max_message_bytes: int
    fetch_records: int
    fetch_bytes: int
    wait_ms: int


class BrokerOut(BaseModel):
    version: str
    cluster_id: str
    node_id: int
    uptime_ms: int
    engine: str
    http: str
    kafka: str | None
    topics: int
    partitions: int
    limits: Limits
