"""Settings of single groups: obeyed from the next heartbeat on, kept, checked by the broker's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.coordinator_site import Site
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat, ConsumerHeartbeatReply

INTERVAL, SESSION = "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path / "data")
    await site.start()
    yield site
    await site.stop()


async def beat(site: Site, group: str, epoch: int = 0) -> ConsumerHeartbeatReply:
    joins = epoch == 0
    return await site.coordinator.consumer.heartbeat(
        ConsumerHeartbeat(
            group=group,
            member_id="m",
            member_epoch=epoch,
            rebalance_timeout_ms=60_000 if joins else -1,
            topic_names=("t",) if joins else None,
            owned=() if joins else None,
        )
    )


def members(site: Site, group: str) -> int:
    return len(site.coordinator.consumer.describe(group).members)


class TestObeyed:
    async def test_by_members_who_come_and_who_are_there(self, site: Site) -> None:
        await site.coordinator.alter_settings("g", {INTERVAL: "7000", SESSION: "50000"})
        reply, other = await beat(site, "g"), await beat(site, "other")
        assert (reply.heartbeat_interval_ms, other.heartbeat_interval_ms) == (7_000, 5_000)
        site.pass_time(49_000)
        assert (members(site, "g"), members(site, "other")) == (1, 0)

        await site.coordinator.alter_settings("g", {INTERVAL: None, SESSION: "60000"})
        assert (await beat(site, "g", reply.member_epoch)).heartbeat_interval_ms == 5_000
        site.pass_time(59_000)
        assert members(site, "g") == 1
        site.pass_time(1_001)
        assert members(site, "g") == 0

    async def test_after_a_restart(self, site: Site) -> None:
        await site.coordinator.alter_settings("g", {SESSION: "50000"})
        await site.coordinator.alter_settings("h", {SESSION: "50000"})
        await site.coordinator.alter_settings("h", {SESSION: None})
        await beat(site, "g")
        await site.restart()
        assert site.coordinator.groups_with_settings() == ["g"]
        site.pass_time(49_000)
        assert members(site, "g") == 1
        site.pass_time(1_001)
        assert members(site, "g") == 0

    async def test_not_when_the_broker_has_other_bounds_now(self, site: Site) -> None:
        await site.coordinator.alter_settings("g", {SESSION: "60000"})
        site.settings = BrokerSettings({"group.consumer.max.session.timeout.ms": "50000"})
        await site.restart()
        assert site.coordinator.settings_of("g")[SESSION] == 45_000


class TestChecked:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *((SESSION, text) for text in ("44999", "60001", "x")),
            *((INTERVAL, text) for text in ("4999", "15001", "")),
            *(("share.session.timeout.ms", "50000"), ("session.timeout.ms", "50000")),
        ],
    )
    async def test_what_it_cannot_be(self, site: Site, name: str, value: str) -> None:
        with pytest.raises(InvalidSetting):
            await site.coordinator.alter_settings("g", {INTERVAL: "6000", name: value})
        assert site.coordinator.groups_with_settings() == []

    async def test_a_session_outlasts_a_heartbeat(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "other", group_consumer_min_session_timeout_ms="1")
        await site.start()
        with pytest.raises(InvalidSetting, match="must be above"):
            await site.coordinator.alter_settings("g", {SESSION: "5000"})
        await site.stop()

    async def test_only_checked(self, site: Site) -> None:
        await site.coordinator.alter_settings("g", {SESSION: "50000"}, validate_only=True)
        assert site.coordinator.settings_of("g").overrides == {}
