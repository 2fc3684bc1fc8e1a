"""The group coordinator: parks joiners, appends records, applies them (signatures first)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tidelog.consumer_groups.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.offsets import (
    CommittedOffset,
    GroupDescription,
    GroupOverview,
    OffsetAndMetadata,
    OffsetChange,
    PartitionLag,
    ResetTarget,
    TopicPartition,
)

if TYPE_CHECKING:
    from tidelog.broker.broker import Broker


class Coordinator:
    """Every method raises CoordinatorLoading until the log is applied."""

    def __init__(self, broker: Broker) -> None:
        raise NotImplementedError

    loading: bool

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def join(self, request: JoinRequest) -> JoinReply:
        raise NotImplementedError

    async def sync(self, request: SyncRequest) -> SyncReply:
        raise NotImplementedError

    def heartbeat(self, request: HeartbeatRequest) -> None:
        raise NotImplementedError

    async def leave(self, group: str, members: Sequence[LeavingMember]) -> list[LeftMember]:
        raise NotImplementedError

    async def commit(
        self,
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        *,
        member_id: str = "",
        generation: int = -1,
        instance_id: str | None = None,
    ) -> None:
        """All or nothing: raises the first partition's error and writes nothing."""

    async def commit_each(
        self,
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        *,
        member_id: str = "",
        generation: int = -1,
        instance_id: str | None = None,
    ) -> dict[TopicPartition, Exception]:
        """Kafka's way: commits the good partitions, returns the error of each bad one."""
        raise NotImplementedError

    def committed(self, group: str) -> dict[TopicPartition, CommittedOffset]:
        raise NotImplementedError

    def groups(self) -> list[GroupOverview]:
        raise NotImplementedError

    def describe(self, group: str) -> GroupDescription:
        raise NotImplementedError

    async def lag(self, group: str) -> list[PartitionLag]:
        raise NotImplementedError

    async def reset(
        self,
        group: str,
        to: ResetTarget,
        *,
        topics: Iterable[str] | None = None,
        partitions: Iterable[TopicPartition] | None = None,
        dry_run: bool = False,
        force: bool = False,
    ) -> list[OffsetChange]:
        raise NotImplementedError

    async def delete(self, group: str) -> None:
        raise NotImplementedError

    async def delete_offsets(
        self, group: str, topic: str, partitions: Iterable[int] | None = None
    ) -> None:
        """Raises GroupSubscribed, UnknownGroup, UnknownTopic."""
        raise NotImplementedError
