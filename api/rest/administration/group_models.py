"""Bodies of the calls about groups and their members. Times in ms, sizes in bytes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidelog.api.rest.administration.models import In, Offset, PartitionNumber


class OffsetIn(In):
    topic: str
    partition: PartitionNumber
    offset: Offset
    metadata: str = ""


class CommitOffsets(In):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"offsets": [{"topic": "orders", "partition": 0, "offset": 18}]}
        }
    )

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
    lag: int | None = Field(
        description="records from what is committed, or from where the group began, to the end; "
        "null where nobody knows where it begins"
    )
    lag_seconds: float | None = Field(description="how long the next record has been there")
    member_id: str | None


class AssignedPartition(BaseModel):
    topic: str
    partition: int


class JoinGroup(In):
    model_config = ConfigDict(
        json_schema_extra={"example": {"topics": ["orders"], "session_timeout_ms": 45_000}}
    )

    topics: list[str] = Field(min_length=1, max_length=1000)
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
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "member_id": "http-7f0c1a52-2f3e-4a52-9d5a-0f5a3c1f6b11",
                "cursor": "09Bd79hpAhQAAAAAAgAAAAAA",
                "generation": 2,
                "assignment": [{"topic": "orders", "partition": 0}],
                "rebalancing": False,
            }
        }
    )

    member_id: str
    cursor: str = Field(description="for the first poll")
    generation: int
    assignment: list[AssignedPartition]
    rebalancing: bool = Field(description="true: the assignment is not final, poll to go on")


class PollMember(In):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"cursor": "09Bd79hpAhQAAAAAAgAAAAAA", "max_records": 100, "wait_ms": 20_000}
        }
    )

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
    on_corrupt: Literal["fail", "skip"] = Field(
        default="fail", description="whether batches that cannot be read are passed, and told"
    )


class UnreadableBatchOut(BaseModel):
    """Offsets from `offset` to before `next_offset`, of which no record can be had."""

    topic: str
    partition: int
    offset: int
    next_offset: int
    reason: str
    timestamp: int | None = Field(description="of the first record, ms, where it is known")
    damaged: bool = Field(description="the bytes are not those that were written")


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
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "records": [
                    {
                        "topic": "orders",
                        "partition": 0,
                        "offset": 17,
                        "timestamp": 1_700_000_000_000,
                        "key": "user-1",
                        "value": {"any": "json"},
                        "headers": {},
                    }
                ],
                "cursor": "gx808mzCecIAAAAAAgAAAAAB",
                "generation": 2,
                "assignment": [{"topic": "orders", "partition": 0}],
                "revoked": [],
                "rebalancing": False,
            }
        }
    )

    records: list[PolledRecord]
    cursor: str = Field(description="for the next poll, when these records are done with")
    generation: int
    assignment: list[AssignedPartition]
    revoked: list[AssignedPartition] = Field(
        description="partitions of the cursor that go to others with the next poll"
    )
    rebalancing: bool = Field(description="the group is between two assignments")
    blocked: list[UnreadableBatchOut] = Field(
        default=[],
        description="where partitions stand at a batch that cannot be read; others go on, and "
        "where none does the answer is the error `unreadable_batch`",
    )
    skipped: list[UnreadableBatchOut] = Field(
        default=[], description="what was passed, because `on_corrupt` is `skip`"
    )


class CommitCursor(In):
    model_config = ConfigDict(json_schema_extra={"example": {"cursor": "gx808mzCecIAAAAAAgAAAAAB"}})

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
    total_lag: int = Field(description="of the partitions whose lag is known")


class ResetOffsets(In):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"to": "timestamp", "value": "2013-07-04T12:00:00Z", "dry_run": True}
        }
    )

    to: Literal["earliest", "latest", "offset", "timestamp", "duration", "shift"]
    value: int | str | None = Field(
        default=None,
        description="the offset; the time (ms, RFC 3339, a day in UTC, -1h); the duration (ms, 7d, "
        "1h30m); the shift",
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
