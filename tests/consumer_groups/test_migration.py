"""Groups that change between the classic and the new protocol while their members live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.coordinator_site import SESSION_MS, Site
from tidelog.consumer_groups.classic.consumer_protocol import (
    Subscription,
    decode_assignment,
    encode_assignment,
    encode_subscription,
)
from tidelog.consumer_groups.classic.membership import JoinReply, JoinRequest, LeavingMember
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat, ConsumerHeartbeatReply
from tidelog.consumer_groups.errors import (
    FencedInstance,
    IllegalGeneration,
    InconsistentProtocol,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata

REBALANCE_MS = 30_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Topic t has two partitions."""
    site = Site(tmp_path / "data")
    await site.start()
    await site.topic("t")
    yield site
    await site.stop()


async def beat(site: Site, member_id: str, epoch: int, **said: Any) -> ConsumerHeartbeatReply:
    heartbeat = ConsumerHeartbeat(group="g", member_id=member_id, member_epoch=epoch, **said)
    return await site.coordinator.consumer.heartbeat(heartbeat)


async def join_new(site: Site, member_id: str = "new", **said: Any) -> ConsumerHeartbeatReply:
    said = {"rebalance_timeout_ms": REBALANCE_MS, "topic_names": ("t",), "owned": (), **said}
    return await beat(site, member_id, 0, **said)


async def synced(site: Site, joined: JoinReply) -> list[int]:
    """The partitions of t that the member has."""
    assignment = (await site.sync(joined, {})).assignment
    return [partition for _, partition in decode_assignment(assignment)]


def owning(*partitions: int) -> tuple[tuple[str, bytes], ...]:
    """The protocols of a cooperative member."""
    owned = tuple(("t", partition) for partition in partitions)
    return (("cooperative-sticky", encode_subscription(Subscription(("t",), owned))),)


def kind(site: Site) -> str:
    (group,) = site.coordinator.groups()
    return group.group_type


class TestUpgrade:
    async def test_members_stay_with_what_they_own(self, site: Site) -> None:
        old = await site.member("g", "t")
        reply = await join_new(site)
        assert (reply.member_epoch, reply.assignment) == (old.generation + 1, ())
        group = site.coordinator.consumer.describe("g")
        (classic, _) = group.members
        assert classic.is_classic
        assert [place.partition for place in classic.assigned] == [0, 1]
        assert (group.epoch, group.state) == (old.generation + 1, "Reconciling")

    async def test_an_eager_member_joins_once_and_has_its_share(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(old)
        joined = await site.enter("g", "t", member_id=old.member_id)
        assert joined.generation == old.generation + 1
        assert (joined.leader, joined.protocol) == ("", "range")
        (kept,) = await synced(site, joined)
        site.heartbeat(joined)
        reply = await beat(site, "new", joined.generation)
        assert [partition for _, partition in reply.assignment or ()] == [1 - kept]
        assert site.coordinator.consumer.describe("g").state == "Stable"

    async def test_a_cooperative_member_gives_up_before_it_is_given(self, site: Site) -> None:
        old = await site.enter("g", "t", protocols=owning())
        everything = encode_assignment([("t", 0), ("t", 1)])
        await site.sync(old, {old.member_id: everything})
        await join_new(site)
        still = await site.enter("g", "t", member_id=old.member_id, protocols=owning(0, 1))
        assert still.generation == old.generation
        (kept,) = await synced(site, still)
        assert (await beat(site, "new", old.generation + 1)).assignment is None
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(still)
        joined = await site.enter("g", "t", member_id=old.member_id, protocols=owning(kept))
        assert joined.generation == old.generation + 1
        assert await synced(site, joined) == [kept]
        reply = await beat(site, "new", joined.generation)
        assert [partition for _, partition in reply.assignment or ()] == [1 - kept]

    async def test_commits_go_on_until_the_member_joins_again(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        offsets = {("t", 0): OffsetAndMetadata(5)}
        commit = site.coordinator.offsets.commit
        await commit("g", offsets, member_id=old.member_id, generation=old.generation)
        joined = await site.enter("g", "t", member_id=old.member_id)
        await commit("g", offsets, member_id=old.member_id, generation=joined.generation)
        with pytest.raises(IllegalGeneration):
            await commit("g", offsets, member_id=old.member_id, generation=old.generation)

    async def test_not_while_an_assignor_has_more_to_say(self, site: Site) -> None:
        old = await site.enter("g", "t")
        said = encode_assignment([("t", 0)])[:-4] + b"\0\0\0\1?"
        await site.sync(old, {old.member_id: said})
        with pytest.raises(UnknownGroup):
            await join_new(site)
        assert kind(site) == "classic"

    async def test_who_waits_for_the_others_joins_again(self, site: Site) -> None:
        old = await site.member("g", "t")
        waiting = asyncio.ensure_future(site.enter("g", "t"))
        await asyncio.sleep(0)
        await join_new(site)
        with pytest.raises(RebalanceInProgress):
            await waiting
        assert len(site.coordinator.consumer.describe("g").members) == 3
        assert old.member_id in {
            member.member_id for member in site.coordinator.consumer.describe("g").members
        }

    async def test_a_restart_keeps_the_group_as_it_is(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        before = site.coordinator.consumer.describe("g")
        await site.restart()
        after = site.coordinator.consumer.describe("g")
        assert after._replace(members=()) == before._replace(members=())
        assert sorted(after.members) == sorted(before.members)
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(old)

    async def test_groups_that_are_no_consumers_stay(self, site: Site) -> None:
        joined = await site.enter("g", protocol_type="connect")
        await site.sync(joined, {})
        with pytest.raises(UnknownGroup):
            await join_new(site)

    async def test_subscriptions_that_cannot_be_read_stay(self, site: Site) -> None:
        joined = await site.enter("g", protocols=(("range", b"?"),))
        await site.sync(joined, {})
        with pytest.raises(UnknownGroup):
            await join_new(site)
        site.heartbeat(joined)

    async def test_not_where_the_policy_forbids_it(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "other", group_consumer_migration_policy="downgrade")
        await site.start()
        await site.topic("t")
        await site.member("g", "t")
        with pytest.raises(UnknownGroup):
            await join_new(site)
        await site.stop()


class TestClassicMembers:
    async def test_join_a_group_of_the_new_protocol(self, site: Site) -> None:
        first = await join_new(site)
        joined = await site.enter("g", "t")
        assert await synced(site, joined) == []
        reply = await beat(site, "new", first.member_epoch, owned=first.assignment)
        assert len(reply.assignment or ()) == 1
        await beat(site, "new", first.member_epoch, owned=reply.assignment)
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(joined)
        again = await site.enter("g", "t", member_id=joined.member_id)
        assert len(await synced(site, again)) == 1
        assert site.coordinator.consumer.describe("g").state == "Stable"

    async def test_are_given_up_when_silent_for_their_own_timeout(self, site: Site) -> None:
        await join_new(site)
        joined = await site.enter("g", "t")
        await site.sync(joined, {})
        site.pass_time(SESSION_MS - 1)
        site.heartbeat(joined)
        site.pass_time(SESSION_MS)
        with pytest.raises(UnknownMember):
            site.heartbeat(joined)

    async def test_are_given_up_when_they_do_not_join_again(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        for _ in range(2):
            with pytest.raises(RebalanceInProgress):
                site.heartbeat(old)
            site.pass_time(SESSION_MS // 2)
        with pytest.raises(UnknownMember):
            site.heartbeat(old)

    async def test_a_static_one_is_replaced_without_a_rebalance(self, site: Site) -> None:
        await join_new(site)
        old = await site.enter("g", "t", instance_id="i")
        epoch = site.coordinator.consumer.describe("g").epoch
        new = await site.enter("g", "t", instance_id="i")
        assert (new.member_id != old.member_id, new.generation) == (True, old.generation)
        assert site.coordinator.consumer.describe("g").epoch == epoch
        with pytest.raises(FencedInstance):
            await site.enter("g", "t", instance_id="i", member_id=old.member_id)

    async def test_need_a_protocol_in_common(self, site: Site) -> None:
        await join_new(site)
        await site.enter("g", "t")
        with pytest.raises(InconsistentProtocol):
            await site.enter("g", "t", protocols=owning())
        with pytest.raises(InconsistentProtocol):
            await site.enter("g", "t", protocol_type="connect")

    async def test_who_was_given_up_gives_up_what_it_had(self, site: Site) -> None:
        await join_new(site)
        with pytest.raises(UnknownMember):
            await site.enter("g", "t", member_id="late", protocols=owning(0))
        joined = await site.enter("g", "t", member_id="late", protocols=owning())
        assert await synced(site, joined) == []

    async def test_are_told_their_share_in_the_version_they_speak(self, site: Site) -> None:
        await join_new(site)
        newer = b"\0\3" + encode_subscription(Subscription(("t",)))[2:] + b"\xff\xff"
        joined = await site.enter("g", "t", protocols=(("range", newer),))
        assert (await site.sync(joined, {})).assignment[:2] == b"\0\3"

    async def test_are_named_before_their_subscription_is_read(self, site: Site) -> None:
        await join_new(site)
        request = JoinRequest(
            group="g",
            client_id="client",
            client_host="/127.0.0.1",
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            protocols=(("range", b""),),
        )
        with pytest.raises(MemberIdRequired) as required:
            await site.coordinator.classic.join(request)
        with pytest.raises(InconsistentProtocol):
            await site.coordinator.classic.join(
                replace(request, member_id=required.value.member_id)
            )

    async def test_are_kept_out_where_the_policy_forbids_it(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "other", group_consumer_migration_policy="disabled")
        await site.start()
        await site.topic("t")
        await join_new(site)
        for instance_id in (None, "i"):
            with pytest.raises(InconsistentProtocol):
                await site.enter("g", "t", instance_id=instance_id)
        await site.stop()

    async def test_leave(self, site: Site) -> None:
        await join_new(site)
        joined = await site.enter("g", "t")
        left = await site.coordinator.classic.leave(
            "g", [LeavingMember(joined.member_id), LeavingMember("nobody")]
        )
        assert [type(one.error) for one in left] == [type(None), UnknownMember]
        (member,) = site.coordinator.consumer.describe("g").members
        assert member.member_id == "new"

    @pytest.mark.parametrize("leaving", [LeavingMember("new"), LeavingMember("", "i")])
    async def test_an_administrator_takes_out_members_of_the_new_protocol(
        self, site: Site, leaving: LeavingMember
    ) -> None:
        await join_new(site, instance_id="i")
        (left,) = await site.coordinator.classic.leave("g", [leaving])
        assert left.error is None
        assert site.coordinator.consumer.describe("g").state == "Empty"
        with pytest.raises(UnknownMember):
            await beat(site, "new", 2)


class TestDowngrade:
    async def test_when_the_last_new_member_leaves(self, site: Site) -> None:
        old = await site.member("g", "t")
        reply = await join_new(site)
        joined = await site.enter("g", "t", member_id=old.member_id)
        await site.sync(joined, {})
        await beat(site, "new", -1)
        group = site.coordinator.describe("g")
        assert (group.group_type, group.state) == ("classic", "PreparingRebalance")
        assert group.generation == reply.member_epoch
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(joined)
        again = await site.enter("g", "t", member_id=old.member_id)
        assert (again.leader, again.generation) == (old.member_id, joined.generation + 1)

    async def test_when_the_last_new_member_is_silent(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        joined = await site.enter("g", "t", member_id=old.member_id)
        await site.sync(joined, {})
        for _ in range(5):
            site.pass_time(SESSION_MS - 1)
            if kind(site) == "classic":
                break
            site.heartbeat(joined)
        assert kind(site) == "classic"

    async def test_is_remembered(self, site: Site) -> None:
        old = await site.member("g", "t")
        await join_new(site)
        joined = await site.enter("g", "t", member_id=old.member_id)
        await site.sync(joined, {})
        await beat(site, "new", -1)
        await site.restart()
        group = site.coordinator.describe("g")
        assert (group.group_type, group.state) == ("classic", "Stable")
        assert group.generation == joined.generation
        assert len(group.members[0].partitions) == 1
        site.heartbeat(joined)

    async def test_a_group_without_members_stays(self, site: Site) -> None:
        await join_new(site)
        await beat(site, "new", -1)
        assert kind(site) == "consumer"

    async def test_not_where_the_policy_forbids_it(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "other", group_consumer_migration_policy="upgrade")
        await site.start()
        await site.topic("t")
        await site.member("g", "t")
        await join_new(site)
        await beat(site, "new", -1)
        assert kind(site) == "consumer"
        await site.stop()
