"""Members of HTTP beside others in the coordinator: who can be together, who takes whose place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.coordinator_site import SESSION_MS, Site
from tidelog.broker.waiting import DataWaiter
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat
from tidelog.consumer_groups.errors import (
    GroupFull,
    IllegalGeneration,
    InconsistentProtocol,
    UnknownMember,
    UnreleasedInstance,
)
from tidelog.consumer_groups.hosted.cursor import Cursor, encode_cursor
from tidelog.consumer_groups.hosted_members import HostedJoin, Standing


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Topic t has four partitions."""
    site = Site(tmp_path / "data", group_consumer_max_size="3")
    await site.start()
    await site.topic("t", 4)
    yield site
    await site.stop()


async def join(site: Site, **changes: Any) -> Standing:
    return await site.coordinator.hosted.join(
        HostedJoin(
            **{
                "group": "g",
                "topics": ("t",),
                "session_timeout_ms": SESSION_MS,
                "auto_offset_reset": "earliest",
                **changes,
            }
        )
    )


async def beat(site: Site, standing: Standing) -> Standing:
    return await site.coordinator.hosted.beat("g", standing.member_id, standing.cursor)


def kafka_heartbeat(**changes: Any) -> ConsumerHeartbeat:
    return ConsumerHeartbeat(
        **{
            "group": "g",
            "member_id": "kafka",
            "member_epoch": 0,
            "rebalance_timeout_ms": SESSION_MS,
            "topic_names": ("t",),
            "owned": (),
            **changes,
        }
    )


def partitions(standing: Standing) -> set[int]:
    return {partition.index for partition in standing.partitions}


class TestTogether:
    async def test_with_a_member_of_the_new_protocol(self, site: Site) -> None:
        first = await join(site)
        await site.coordinator.consumer.heartbeat(kafka_heartbeat())
        told = await beat(site, first)
        assert len(told.revoked) == 2
        assert told.is_rebalancing
        gave_up = await beat(site, told)
        waits = kafka_heartbeat(
            member_epoch=3, rebalance_timeout_ms=-1, topic_names=None, owned=None
        )
        reply = await site.coordinator.consumer.heartbeat(waits)
        assert {index for _, index in reply.assignment or ()} == {0, 1, 2, 3} - partitions(gave_up)

    async def test_not_with_members_that_are_no_consumers(self, site: Site) -> None:
        await site.enter("g", protocol_type="connect")
        with pytest.raises(InconsistentProtocol):
            await join(site)
        assert len(site.coordinator.describe("g").members) == 1

    async def test_a_group_is_full(self, site: Site) -> None:
        for _ in range(3):
            await join(site)
        with pytest.raises(GroupFull):
            await join(site)

    async def test_others_are_not_spoken_for(self, site: Site) -> None:
        """A cursor for a Kafka client's member is nobody's."""
        await site.coordinator.consumer.heartbeat(kafka_heartbeat())
        text = encode_cursor("g", "kafka", Cursor(2, "earliest", None, {}))
        with pytest.raises(UnknownMember):
            site.coordinator.hosted.read_cursor("g", "kafka", text)
        with pytest.raises(UnknownMember):
            await site.coordinator.hosted.leave("g", "kafka")


class TestInstances:
    async def test_of_a_kafka_client_is_not_taken(self, site: Site) -> None:
        await site.coordinator.consumer.heartbeat(kafka_heartbeat(instance_id="till-1"))
        with pytest.raises(UnreleasedInstance):
            await join(site, instance_id="till-1")

    async def test_a_second_takes_the_first_ones_place(self, site: Site) -> None:
        first = await join(site, instance_id="till-1")
        second = await join(site, instance_id="till-1")
        assert partitions(second) == partitions(first) == {0, 1, 2, 3}
        assert second.cursor.generation == first.cursor.generation
        assert len(site.coordinator.describe("g").members) == 1


class TestSessions:
    async def test_are_as_long_as_asked_for(self, site: Site) -> None:
        short = await join(site)
        long = await join(site, session_timeout_ms=10 * SESSION_MS)
        site.clock.advance(SESSION_MS)
        site.coordinator.expire_members()
        with pytest.raises(UnknownMember):
            await beat(site, short)
        assert partitions(await beat(site, long)) == {0, 1, 2, 3}

    async def test_begin_anew_after_a_restart(self, site: Site) -> None:
        standing = await join(site, session_timeout_ms=10 * SESSION_MS)
        await site.restart()
        site.clock.advance(10 * SESSION_MS - 1)
        site.coordinator.expire_members()
        assert partitions(await beat(site, standing)) == {0, 1, 2, 3}


class TestCursors:
    async def test_of_the_future_are_those_of_an_earlier_member(self, site: Site) -> None:
        standing = await join(site, key="a")
        ahead = standing.cursor._replace(generation=standing.cursor.generation + 1)
        text = encode_cursor("g", standing.member_id, ahead)
        with pytest.raises(IllegalGeneration):
            site.coordinator.hosted.read_cursor("g", standing.member_id, text)


class TestWatching:
    async def test_a_step_to_take_wakes_who_waits(self, site: Site) -> None:
        first, second = await join(site), await join(site)
        with DataWaiter() as one, DataWaiter() as other:
            one.watch(site.coordinator.hosted.watch("g", first.member_id))
            other.watch(site.coordinator.hosted.watch("g", second.member_id))
            told = await beat(site, first)
            assert not await other.wait(0), "nothing is free yet"
            await beat(site, told)
            assert await other.wait(0)
            one.rearm()
            await beat(site, second)
            assert not await one.wait(0), "the first has all that it is to have"

    async def test_a_stop_wakes_everybody(self, site: Site) -> None:
        member = await join(site)
        with DataWaiter() as before, DataWaiter() as after:
            before.watch(site.coordinator.hosted.watch("g", member.member_id))
            site.coordinator.stop_waiting()
            after.watch(site.coordinator.hosted.watch("g", member.member_id))
            assert await before.wait(0)
            assert await after.wait(0)
