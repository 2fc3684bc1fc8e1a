"""A consumer of the new protocol, as real clients are; it knows only what replies tell it."""

from __future__ import annotations

from tests.support.consumer_group_driver import REVOCATION_MS
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, TopicsNow
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat, ConsumerHeartbeatReply
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition


class NewConsumer:
    """What a client knows: its epoch, what it was told to have and what it has."""

    def __init__(self, member_id: str, instance_id: str | None, wants: dict[str, object]) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.wants = wants
        self.epoch = 0
        self.told: set[TopicIdPartition] = set()
        self.owned: set[TopicIdPartition] = set()
        self.said: set[TopicIdPartition] | None = None
        """What it last said it owns, as far as it knows that it was heard."""
        self.asked: ConsumerHeartbeat | None = None
        """The request whose reply it waits for."""
        self.asked_ms = 0
        self.next_ms = 0
        self.stalled_until_ms = 0

    def heartbeat(
        self, group: ConsumerGroup, topics: TopicsNow, now_ms: int
    ) -> ConsumerHeartbeat | None:
        """What it sends now."""
        self.owned &= self.told
        full = self.said is None
        owned = tuple(sorted(self.owned)) if full or self.said != self.owned else None
        wants = self.wants if full else {}
        return ConsumerHeartbeat(
            group="g",
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.instance_id,
            rebalance_timeout_ms=REVOCATION_MS if full else -1,
            owned=owned,
            **wants,  # type: ignore[arg-type]
        )

    def hear(self, sent: ConsumerHeartbeat, reply: ConsumerHeartbeatReply) -> None:
        self.epoch = reply.member_epoch
        if sent.owned is not None:
            self.said = set(sent.owned)
        if reply.assignment is not None:
            self.told = set(reply.assignment)
            if self.owned <= self.told:
                self.owned = set(self.told)
        elif self.owned <= self.told:
            self.owned = set(self.told)

    def start_over(self) -> None:
        self.epoch, self.told, self.owned, self.said = 0, set(), set(), None

    def subscribe(self, wants: dict[str, object]) -> None:
        self.wants, self.said = wants, None
