"""A classic consumer in a group of the new protocol, eager or cooperative, as real clients are."""

from __future__ import annotations

from enum import Enum, auto

from tests.support.consumer_group_driver import REVOCATION_MS
from tests.support.new_consumer import NewConsumer
from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    decode_assignment,
    encode_subscription,
)
from tidelog.consumer_groups.classic.membership import HeartbeatRequest, JoinRequest, SyncRequest
from tidelog.consumer_groups.consumer import classic_requests as classic_member
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, TopicsNow
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat, ConsumerHeartbeatReply
from tidelog.consumer_groups.errors import RebalanceInProgress
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition

SESSION_MS = 10_000


class Phase(Enum):
    JOIN = auto()
    SYNC = auto()
    STEADY = auto()


class ClassicConsumer(NewConsumer):
    def __init__(self, member_id: str, instance_id: str | None, wants: dict[str, object]) -> None:
        super().__init__(member_id, instance_id, wants)
        self.is_cooperative = int(member_id[1:]) % 2 == 0
        self._phase = Phase.JOIN
        self._knows_its_id = instance_id is None

    def heartbeat(
        self, group: ConsumerGroup, topics: TopicsNow, now_ms: int
    ) -> ConsumerHeartbeat | None:
        """A join, if it is time for one; otherwise it asks what it has to ask."""
        if self._phase is Phase.STEADY:
            self._beat(group, now_ms)
        if self._phase is Phase.SYNC:
            self._sync(group, topics, now_ms)
        return self._join(group, topics) if self._phase is Phase.JOIN else None

    def hear(self, sent: ConsumerHeartbeat, reply: ConsumerHeartbeatReply) -> None:
        self.epoch = reply.member_epoch
        self._knows_its_id = True
        self._phase = Phase.SYNC

    def start_over(self) -> None:
        super().start_over()
        self._phase = Phase.JOIN
        self._knows_its_id = self.instance_id is None

    def subscribe(self, wants: dict[str, object]) -> None:
        self.wants = wants
        self._rejoin()

    def _rejoin(self) -> None:
        self._phase = Phase.JOIN
        if not self.is_cooperative:
            self.owned = set()

    def _beat(self, group: ConsumerGroup, now_ms: int) -> None:
        request = HeartbeatRequest(
            group="g",
            generation=self.epoch,
            member_id=self.member_id,
            instance_id=self.instance_id,
        )
        try:
            classic_member.beat(group, request, now_ms)
        except RebalanceInProgress:
            self._rejoin()

    def _sync(self, group: ConsumerGroup, topics: TopicsNow, now_ms: int) -> None:
        request = SyncRequest(
            group="g",
            generation=self.epoch,
            member_id=self.member_id,
            instance_id=self.instance_id,
        )
        try:
            reply = classic_member.sync(group, request, topics, now_ms)
        except RebalanceInProgress:
            self._rejoin()
            return
        assigned: set[TopicIdPartition] = {
            (topics.by_name[topic].id, partition)
            for topic, partition in decode_assignment(reply.assignment)
        }
        gives_up = not self.owned <= assigned
        self.owned = assigned
        self._phase = Phase.JOIN if gives_up else Phase.STEADY

    def _join(self, group: ConsumerGroup, topics: TopicsNow) -> ConsumerHeartbeat:
        names = {info.id: name for name, info in topics.by_name.items()}
        self.owned = {place for place in self.owned if place[0] in names}
        owned = tuple((names[topic_id], partition) for topic_id, partition in sorted(self.owned))
        wanted: tuple[str, ...] = self.wants["topic_names"]  # type: ignore[assignment]
        metadata = encode_subscription(Subscription(wanted, owned))
        request = JoinRequest(
            group="g",
            member_id=self.member_id if self._knows_its_id else "",
            instance_id=self.instance_id,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REVOCATION_MS,
            protocols=(("range", metadata),),
        )
        return classic_member.heartbeat_of(group, request, self.member_id, topics)
