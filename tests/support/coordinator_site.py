"""A broker with its coordinator, and classic members of its groups, on a clock that tests move."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    encode_assignment,
    encode_subscription,
)
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.errors import MemberIdRequired
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata
from tidelog.storage.batches.record_batch import encode_batch

SESSION_MS = 10_000


class Site:
    """The broker, and how to start it again."""

    def __init__(self, data_dir: Path, **overrides: str) -> None:
        self.data_dir = data_dir
        self.disk = FaultyDisk(data_dir)
        self.settings = BrokerSettings(
            {name.replace("_", "."): value for name, value in overrides.items()}
        )
        self.clock = ManualClock()
        self.broker: Broker
        self.coordinator: Coordinator

    async def start(self) -> None:
        self.broker = await Broker.open(
            str(self.data_dir), self.settings, Environment(self.clock, self.disk)
        )
        self.coordinator = Coordinator(self.broker)
        await self.coordinator.start()
        await self.coordinator.loaded()

    async def stop(self) -> None:
        await self.coordinator.close()
        await self.broker.close()

    async def cut_power(self, source: random.Random) -> None:
        """End without a clean stop, losing what was not synced."""
        await self.coordinator.close()
        await self.broker.housekeeping.stop()
        await self.broker.catalog.close()
        self.broker.commit.close()
        self.broker.store.abandon()
        self.disk = self.disk.crash(source)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def topic(self, name: str, partitions: int = 2, records: int = 0) -> None:
        topic = await self.broker.create_topic(name, partitions)
        for partition in topic.partitions:
            for index in range(records):
                now_ms = self.clock.now_ms() + index
                partition.append(encode_batch([(now_ms, None, b"v", ())]))

    async def commit(self, group: str, topic: str, *offsets: int) -> None:
        await self.coordinator.offsets.commit(
            group, {(topic, i): OffsetAndMetadata(offset) for i, offset in enumerate(offsets)}
        )

    def offsets(self, group: str) -> dict[tuple[str, int], int]:
        committed = self.coordinator.offsets.committed(group)
        return {place: offset.offset for place, offset in committed.items()}

    async def enter(self, group: str = "g", *topics: str, **changes: Any) -> JoinReply:
        """Join as a new dynamic member; returns when the rebalance is over."""
        request = JoinRequest(
            group=group,
            client_id="client",
            client_host="/127.0.0.1",
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            protocols=(("range", encode_subscription(Subscription(topics))),),
        )
        request = replace(request, **changes)
        try:
            return await self.coordinator.classic.join(request)
        except MemberIdRequired as required:
            return await self.coordinator.classic.join(
                replace(request, member_id=required.member_id)
            )

    async def member(self, group: str = "g", *topics: str) -> JoinReply:
        """A group with one member that has everything of the topics."""
        joined = await self.enter(group, *topics)
        partitions = [
            (topic, partition.index)
            for topic in topics
            for partition in self.broker.topic(topic).partitions
        ]
        await self.sync(joined, {joined.member_id: encode_assignment(partitions)}, group)
        return joined

    async def sync(
        self, joined: JoinReply, assignments: dict[str, bytes], group: str = "g"
    ) -> SyncReply:
        return await self.coordinator.classic.sync(
            SyncRequest(
                group=group,
                generation=joined.generation,
                member_id=joined.member_id,
                assignments=assignments,
            )
        )

    def heartbeat(self, joined: JoinReply, group: str = "g") -> None:
        self.coordinator.classic.heartbeat(
            HeartbeatRequest(group=group, generation=joined.generation, member_id=joined.member_id)
        )

    def pass_time(self, ms: int) -> None:
        self.clock.advance(ms)
        self.coordinator.expire_members()
