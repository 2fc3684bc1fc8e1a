"""Drives one group of the new protocol by hand: sends heartbeats, applies what they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from tidelog.consumer_groups.consumer import consumer_rebalance
from tidelog.consumer_groups.consumer.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, TopicInfo, TopicsNow
from tidelog.consumer_groups.consumer.heartbeat import (
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.records.consumer_group_records import (
    ConsumerGroupRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.settings import GroupSettings

REVOCATION_MS = 30_000


class Catalog:
    """Topics that tests make; ids are their numbers."""

    def __init__(self, **partitions: int) -> None:
        self._topics: dict[str, TopicInfo] = {}
        self._version = 0
        for name, count in partitions.items():
            self.put(name, count)

    def put(self, name: str, partitions: int) -> None:
        topic_id = self._topics[name].id if name in self._topics else UUID(int=self._version + 1)
        self._version += 1
        self._topics[name] = TopicInfo(topic_id, partitions)

    def remove(self, name: str) -> None:
        self._version += 1
        del self._topics[name]

    def now(self) -> TopicsNow:
        return TopicsNow(self._version, self._topics)

    def places(self, name: str, *partitions: int) -> set[TopicIdPartition]:
        return {(self._topics[name].id, partition) for partition in partitions}

    def every(self) -> set[TopicIdPartition]:
        return {
            (info.id, part) for info in self._topics.values() for part in range(info.partitions)
        }


class ConsumerGroupDriver:
    def __init__(self, settings: GroupSettings | None = None, **topics: int) -> None:
        self.settings = settings or GroupSettings()
        self.catalog = Catalog(**(topics or {"a": 4}))
        self.group = ConsumerGroup("g", self.settings)
        self.now_ms = 0
        self.log: list[ConsumerGroupRecord] = []
        self.records: list[ConsumerGroupRecord] = []
        """Of the last heartbeat."""

    def send(self, heartbeat: ConsumerHeartbeat) -> ConsumerHeartbeatReply:
        heartbeat.check(tuple(SERVER_ASSIGNORS))
        topics = self.catalog.now()
        decision = consumer_rebalance.beat(
            self.group, heartbeat, topics, self.settings, self.now_ms
        )
        self._write([*decision.records])
        self.group.topics_version = topics.version
        self.group.hear(heartbeat.member_id, self.now_ms)
        return decision.reply

    def beat(self, member_id: str, epoch: int, **said: Any) -> ConsumerHeartbeatReply:
        return self.send(
            replace(
                ConsumerHeartbeat(
                    group="g", member_id=member_id, member_epoch=epoch, client_id="c"
                ),
                **said,
            )
        )

    def join(self, member_id: str, *topics: str, **said: Any) -> ConsumerHeartbeatReply:
        said = {
            "rebalance_timeout_ms": REVOCATION_MS,
            "topic_names": topics or ("a",),
            "owned": (),
            **said,
        }
        return self.beat(member_id, 0, **said)

    def epoch(self, member_id: str) -> int:
        return self.group.members[member_id].current.member_epoch

    def assigned(self, member_id: str) -> set[TopicIdPartition]:
        return set(self.group.members[member_id].current.assigned)

    def settle(self) -> None:
        """Let all members do what they are told until nothing changes any more."""
        for _ in range(4 * len(self.group.members) + 4):
            for member_id in list(self.group.members):
                owned = tuple(self.assigned(member_id))
                self.beat(member_id, self.epoch(member_id), owned=owned)

    def advance(self, ms: int) -> None:
        """Let time pass, giving up who is due."""
        until_ms = self.now_ms + ms
        while self.group.wake_ms <= until_ms:
            self.now_ms = max(self.now_ms, self.group.wake_ms)
            overdue = self.group.overdue(self.now_ms)
            self._write(consumer_rebalance.forget(self.group, overdue, self.catalog.now()))
        self.now_ms = until_ms

    def reload(self) -> None:
        """Build the group anew from its log."""
        self.group = ConsumerGroup("g", self.settings)
        for record in self.log:
            self.group.apply(record)
        self.group.resume(self.now_ms, self.now_ms)

    def _write(self, records: list[ConsumerGroupRecord]) -> None:
        self.records = records
        self.log += records
        for record in records:
            self.group.apply(record)
