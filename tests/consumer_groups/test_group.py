"""The classic protocol, state by state: joining, syncing, leaving, timing out, static members."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.group_driver import REBALANCE_MS, SESSION_MS, GroupDriver
from tidelog.consumer_groups.classic.classic_group import NEW_MEMBER_JOIN_TIMEOUT_MS, Group
from tidelog.consumer_groups.classic.consumer_protocol import Subscription, encode_subscription
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    LeavingMember,
    SyncReply,
)
from tidelog.consumer_groups.classic.rebalance import State
from tidelog.consumer_groups.errors import (
    CoordinatorUnavailable,
    FencedInstance,
    GroupFull,
    IllegalGeneration,
    InconsistentProtocol,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownMember,
)
from tidelog.consumer_groups.settings import GroupSettings


@pytest.fixture
def driver() -> GroupDriver:
    return GroupDriver()


class TestJoining:
    def test_a_new_dynamic_member_first_gets_its_id(self, driver: GroupDriver) -> None:
        ticket = driver.join()
        required = driver.replies[ticket]
        assert isinstance(required, MemberIdRequired)
        assert required.member_id == "m1"
        assert driver.state() is State.EMPTY
        assert not driver.group.is_disposable

    def test_an_old_client_joins_in_one_step(self, driver: GroupDriver) -> None:
        reply = driver.reply(driver.join(require_known_member_id=False), JoinReply)
        assert (reply.member_id, reply.leader, reply.generation) == ("m1", "m1", 1)

    def test_the_first_member_leads_and_sees_everybody(self, driver: GroupDriver) -> None:
        first, ticket = driver.enter()
        assert driver.reply(ticket, JoinReply).members[0].member_id == first
        second, waiting = driver.enter()
        assert waiting not in driver.replies
        with pytest.raises(RebalanceInProgress):
            driver.heartbeat(first)
        rejoined = driver.reply(driver.join(first), JoinReply)
        assert [member.member_id for member in rejoined.members] == [first, second]
        assert rejoined.members[0].metadata == b"r"
        assert rejoined.protocol == "range"
        follower = driver.reply(waiting, JoinReply)
        assert (follower.leader, follower.members, follower.generation) == (first, (), 2)

    def test_a_pending_member_holds_up_the_rebalance_until_it_expires(
        self, driver: GroupDriver
    ) -> None:
        (first,) = driver.stable(1)
        pending = driver.join()
        assert isinstance(driver.replies[pending], MemberIdRequired)
        ticket = driver.join(first)
        assert ticket not in driver.replies
        driver.advance(SESSION_MS)
        assert driver.reply(ticket, JoinReply).generation == 2
        late = driver.join("m2")
        assert isinstance(driver.replies[late], UnknownMember)

    def test_an_unknown_member_id_is_refused(self, driver: GroupDriver) -> None:
        driver.stable(1)
        assert isinstance(driver.replies[driver.join("stranger")], UnknownMember)

    def test_a_member_that_missed_its_reply_gets_it_again(self, driver: GroupDriver) -> None:
        first, ticket = driver.enter()
        again = driver.join(first)
        assert driver.replies[again] == driver.replies[ticket]
        assert driver.state() is State.COMPLETING

    def test_a_follower_that_rejoins_unchanged_does_not_rebalance(
        self, driver: GroupDriver
    ) -> None:
        _, follower = driver.stable(2)
        reply = driver.reply(driver.join(follower), JoinReply)
        assert (reply.generation, reply.members) == (2, ())
        assert driver.state() is State.STABLE

    def test_the_leader_that_rejoins_rebalances(self, driver: GroupDriver) -> None:
        leader, _ = driver.stable(2)
        assert driver.join(leader) not in driver.replies
        assert driver.state() is State.PREPARING

    def test_changed_metadata_rebalances(self, driver: GroupDriver) -> None:
        _, follower = driver.stable(2)
        driver.join(follower, protocols=(("range", b"other"),))
        assert driver.state() is State.PREPARING

    def test_a_second_join_takes_the_place_of_the_first(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        lost = driver.join(leader)
        again = driver.join(leader)
        assert isinstance(driver.replies[lost], CoordinatorUnavailable)
        driver.join(follower, protocols=driver.request().protocols)
        driver.advance(REBALANCE_MS)
        assert driver.reply(again, JoinReply).generation == 3

    def test_no_more_members_than_the_limit(self) -> None:
        driver = GroupDriver(GroupSettings(max_size=2))
        leader, follower = driver.stable(2)
        assert isinstance(driver.replies[driver.join()], GroupFull)
        driver.join(leader)
        assert driver.state() is State.PREPARING
        driver.join(follower)
        assert driver.state() is State.COMPLETING

    def test_of_too_many_rejoining_members_the_last_have_to_go(self) -> None:
        driver = GroupDriver()
        members = driver.stable(3)
        small = GroupSettings(max_size=2)
        loaded = GroupDriver()
        loaded.load(Group.restore("g", driver.group.metadata(), small))
        tickets = [loaded.join(member) for member in members]
        assert isinstance(loaded.replies[tickets[2]], GroupFull)
        assert loaded.reply(tickets[0], JoinReply).generation == 4
        assert len(loaded.group.members) == 2


class TestProtocols:
    def test_the_protocol_with_most_votes_that_all_speak(self, driver: GroupDriver) -> None:
        driver.enter(protocols=(("a", b""), ("b", b"")))
        driver.enter(protocols=(("b", b""), ("a", b"")))
        driver.enter(protocols=(("b", b""), ("a", b""), ("c", b"")))
        ticket = driver.join("m1", protocols=(("a", b""), ("b", b"")))
        assert driver.reply(ticket, JoinReply).protocol == "b"

    def test_a_member_must_speak_what_all_others_speak(self, driver: GroupDriver) -> None:
        driver.stable(1)
        ticket = driver.join(protocols=(("other", b""),))
        assert isinstance(driver.replies[ticket], InconsistentProtocol)
        ticket = driver.join(protocol_type="connect")
        assert isinstance(driver.replies[ticket], InconsistentProtocol)

    @pytest.mark.parametrize("changes", [{"protocols": ()}, {"protocol_type": ""}])
    def test_a_member_needs_a_protocol(self, driver: GroupDriver, changes: dict[str, Any]) -> None:
        assert isinstance(driver.replies[driver.join(**changes)], InconsistentProtocol)

    def test_an_empty_group_may_change_its_protocol_type(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.leave(LeavingMember(member))
        driver.enter(protocol_type="connect", protocols=(("v1", b""),))
        assert driver.group.protocol_type == "connect"

    def test_sync_may_name_the_protocol_and_must_name_the_right_one(
        self, driver: GroupDriver
    ) -> None:
        (member,) = driver.stable(1)
        good = driver.sync(member, protocol_type="consumer", protocol="range")
        assert driver.reply(good, SyncReply).protocol == "range"
        bad = driver.sync(member, protocol="sticky")
        assert isinstance(driver.replies[bad], InconsistentProtocol)


class TestSyncing:
    def test_followers_wait_for_the_leader(self, driver: GroupDriver) -> None:
        leader, _ = driver.enter()
        follower, _ = driver.enter()
        driver.join(leader)
        waiting = driver.sync(follower)
        assert waiting not in driver.replies
        led = driver.sync(leader, {leader: b"L", follower: b"F"})
        assert driver.reply(led, SyncReply).assignment == b"L"
        assert driver.reply(waiting, SyncReply).assignment == b"F"
        assert driver.state() is State.STABLE

    def test_a_late_follower_gets_its_assignment(self, driver: GroupDriver) -> None:
        leader, _ = driver.enter()
        follower, _ = driver.enter()
        driver.join(leader)
        driver.sync(leader, {follower: b"F"})
        assert driver.reply(driver.sync(follower), SyncReply).assignment == b"F"

    def test_whom_the_leader_forgets_gets_nothing(self, driver: GroupDriver) -> None:
        (leader,) = driver.stable(1)
        driver.join(leader)
        ticket = driver.sync(leader, {})
        assert driver.reply(ticket, SyncReply).assignment == b""

    def test_the_assignment_is_handed_out_when_it_is_stored(self, driver: GroupDriver) -> None:
        driver.holds = True
        leader, _ = driver.enter()
        ticket = driver.sync(leader, {leader: b"L"})
        assert ticket not in driver.replies
        assert driver.held[0].metadata.members[0].assignment == b"L"
        driver.finish_stores()
        assert driver.reply(ticket, SyncReply).assignment == b"L"
        assert driver.state() is State.STABLE

    def test_a_failed_store_has_everybody_join_again(self, driver: GroupDriver) -> None:
        driver.holds = True
        leader, _ = driver.enter()
        ticket = driver.sync(leader, {leader: b"L"})
        driver.finish_stores("disk full")
        assert isinstance(driver.replies[ticket], CoordinatorUnavailable)
        assert driver.state() is State.PREPARING

    def test_a_member_that_joins_meanwhile_makes_the_store_stale(self, driver: GroupDriver) -> None:
        driver.holds = True
        leader, _ = driver.enter()
        ticket = driver.sync(leader, {leader: b"L"})
        driver.enter()
        assert isinstance(driver.replies[ticket], RebalanceInProgress)
        driver.finish_stores()
        assert driver.state() is State.PREPARING
        assert driver.reply(driver.join(leader), JoinReply).generation == 2

    def test_sync_of_another_generation_is_refused(self, driver: GroupDriver) -> None:
        (leader,) = driver.stable(1)
        ticket = driver.sync(leader, generation=7)
        error = driver.replies[ticket]
        assert isinstance(error, IllegalGeneration)
        assert (error.generation, error.current) == (7, 1)

    def test_sync_while_rebalancing_is_refused(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        driver.join(leader)
        assert isinstance(driver.replies[driver.sync(follower)], RebalanceInProgress)

    def test_who_does_not_sync_in_time_is_out(self, driver: GroupDriver) -> None:
        leader, _ = driver.enter(session_timeout_ms=10 * REBALANCE_MS)
        driver.enter(session_timeout_ms=10 * REBALANCE_MS)
        driver.join(leader, session_timeout_ms=10 * REBALANCE_MS)
        driver.sync(leader, {leader: b"L"})
        assert driver.state() is State.STABLE
        driver.advance(REBALANCE_MS)
        assert driver.state() is State.PREPARING
        assert [member.member_id for member in driver.group.members] == [leader]

    def test_a_repeated_sync_takes_the_place_of_the_first(self, driver: GroupDriver) -> None:
        driver.holds = True
        leader, _ = driver.enter()
        lost = driver.sync(leader, {leader: b"L"})
        again = driver.sync(leader, {leader: b"L"})
        assert isinstance(driver.replies[lost], CoordinatorUnavailable)
        driver.finish_stores()
        assert driver.reply(again, SyncReply).assignment == b"L"


class TestTime:
    def test_a_silent_member_is_given_up(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        driver.advance(SESSION_MS - 1)
        driver.heartbeat(leader)
        driver.advance(1)
        assert driver.state() is State.PREPARING
        with pytest.raises(UnknownMember):
            driver.heartbeat(follower)
        assert driver.reply(driver.join(leader), JoinReply).generation == 3

    def test_the_leader_fails_and_another_leads(self, driver: GroupDriver) -> None:
        _, follower = driver.stable(2)
        driver.advance(SESSION_MS - 1)
        driver.heartbeat(follower)
        driver.advance(1)
        reply = driver.reply(driver.join(follower), JoinReply)
        assert reply.leader == follower
        assert [member.member_id for member in reply.members] == [follower]

    def test_who_does_not_rejoin_in_time_is_out(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        waiting = driver.join(leader)
        for _ in range(2 * REBALANCE_MS // SESSION_MS):
            with pytest.raises(RebalanceInProgress):
                driver.heartbeat(follower)
            driver.advance(SESSION_MS // 2)
        reply = driver.reply(waiting, JoinReply)
        assert [member.member_id for member in reply.members] == [leader]

    def test_the_last_member_gone_the_group_is_empty_and_stored(self, driver: GroupDriver) -> None:
        driver.stable(1)
        driver.advance(SESSION_MS)
        assert driver.state() is State.EMPTY
        assert driver.group.generation == 2
        assert driver.stores[-1].metadata.members == ()
        assert driver.stores[-1].metadata.protocol is None

    def test_waiting_members_need_no_heartbeat(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        waiting = driver.join(leader)
        driver.advance(SESSION_MS - 1)
        with pytest.raises(RebalanceInProgress):
            driver.heartbeat(follower)
        driver.advance(SESSION_MS - 1)
        driver.join(follower)
        assert driver.reply(waiting, JoinReply).generation == 3

    def test_a_new_member_that_waits_too_long_is_taken_for_gone(self, driver: GroupDriver) -> None:
        slow = 2 * NEW_MEMBER_JOIN_TIMEOUT_MS
        changes: dict[str, Any] = {"session_timeout_ms": slow, "rebalance_timeout_ms": slow}
        driver.stable(1, **changes)
        _, waiting = driver.enter(**changes)
        driver.advance(NEW_MEMBER_JOIN_TIMEOUT_MS)
        assert isinstance(driver.replies[waiting], UnknownMember)

    def test_the_first_generation_may_be_delayed_for_more_members(self) -> None:
        driver = GroupDriver(GroupSettings(initial_rebalance_delay_ms=3_000))
        first, ticket = driver.enter()
        driver.advance(2_000)
        _, second = driver.enter()
        driver.advance(1_000)
        assert ticket not in driver.replies
        driver.advance(3_000)
        assert len(driver.reply(ticket, JoinReply).members) == 2
        assert driver.reply(second, JoinReply).leader == first

    def test_the_delay_ends_with_the_rebalance_timeout(self) -> None:
        driver = GroupDriver(GroupSettings(initial_rebalance_delay_ms=3_000))
        _, ticket = driver.enter(rebalance_timeout_ms=5_000)
        driver.advance(2_000)
        driver.enter(rebalance_timeout_ms=5_000)
        driver.advance(2_000)
        driver.enter(rebalance_timeout_ms=5_000)
        driver.advance(1_000)
        assert len(driver.reply(ticket, JoinReply).members) == 3

    def test_everybody_leaves_during_the_delay(self) -> None:
        driver = GroupDriver(GroupSettings(initial_rebalance_delay_ms=3_000))
        member, ticket = driver.enter()
        driver.leave(LeavingMember(member))
        assert isinstance(driver.replies[ticket], UnknownMember)
        driver.advance(3_000)
        assert driver.state() is State.EMPTY
        driver.enter()
        assert driver.state() is State.PREPARING


class TestHeartbeat:
    def test_refusals(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.heartbeat(member)
        with pytest.raises(IllegalGeneration):
            driver.heartbeat(member, generation=0)
        with pytest.raises(UnknownMember):
            driver.heartbeat("stranger")

    def test_before_the_assignment_it_is_fine(self, driver: GroupDriver) -> None:
        member, _ = driver.enter()
        driver.heartbeat(member)


class TestLeaving:
    def test_the_others_rebalance(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        (left,) = driver.leave(LeavingMember(follower))
        assert left.error is None
        assert driver.reply(driver.join(leader), JoinReply).generation == 3

    def test_several_at_once_rebalance_once(self, driver: GroupDriver) -> None:
        leader, second, third = driver.stable(3)
        left = driver.leave(LeavingMember(second), LeavingMember("stranger"), LeavingMember(third))
        assert [type(one.error) for one in left] == [type(None), UnknownMember, type(None)]
        assert driver.reply(driver.join(leader), JoinReply).generation == 4

    def test_the_one_awaited_leaves(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        waiting = driver.join(leader)
        driver.leave(LeavingMember(follower))
        assert driver.reply(waiting, JoinReply).generation == 3

    def test_a_pending_member_leaves(self, driver: GroupDriver) -> None:
        (leader,) = driver.stable(1)
        driver.join()
        waiting = driver.join(leader)
        driver.leave(LeavingMember("m2"))
        assert driver.reply(waiting, JoinReply).generation == 2

    def test_who_only_failed_to_leave_changes_nothing(self, driver: GroupDriver) -> None:
        driver.stable(1)
        driver.leave(LeavingMember("stranger"))
        assert driver.state() is State.STABLE


class TestStaticMembers:
    def stable(self, driver: GroupDriver, **changes: Any) -> tuple[str, str]:
        """A leader a and a follower b, both static."""
        first = driver.join(instance_id="a", **changes)
        leader = driver.reply(first, JoinReply).member_id
        second = driver.join(instance_id="b", **changes)
        driver.join(leader, instance_id="a", **changes)
        follower = driver.reply(second, JoinReply).member_id
        driver.sync(leader, {leader: b"A", follower: b"B"}, instance_id="a")
        driver.sync(follower, instance_id="b")
        assert driver.state() is State.STABLE
        return leader, follower

    def test_they_join_in_one_step(self, driver: GroupDriver) -> None:
        self.stable(driver)
        assert driver.group.generation == 2

    def test_a_restart_keeps_assignment_and_generation(self, driver: GroupDriver) -> None:
        leader, follower = self.stable(driver)
        reply = driver.reply(driver.join(instance_id="b"), JoinReply)
        assert reply.member_id != follower
        assert (reply.generation, reply.leader, reply.members) == (2, leader, ())
        assert driver.state() is State.STABLE
        sync = driver.sync(reply.member_id, instance_id="b")
        assert driver.reply(sync, SyncReply).assignment == b"B"
        stored = {member.instance_id: member for member in driver.stores[-1].metadata.members}
        assert stored["b"].member_id == reply.member_id
        assert stored["b"].assignment == b"B"

    def test_the_old_process_is_fenced(self, driver: GroupDriver) -> None:
        _, follower = self.stable(driver)
        driver.join(instance_id="b")
        with pytest.raises(FencedInstance):
            driver.heartbeat(follower, instance_id="b")
        assert isinstance(driver.replies[driver.sync(follower, instance_id="b")], FencedInstance)
        with pytest.raises(FencedInstance):
            driver.group.check_commit(follower, 2, "b", driver.now_ms)
        (left,) = driver.leave(LeavingMember(follower, "b"))
        assert isinstance(left.error, FencedInstance)
        assert isinstance(driver.replies[driver.join(follower, instance_id="b")], FencedInstance)

    def test_a_fenced_member_that_waits_is_told(self, driver: GroupDriver) -> None:
        leader, _ = self.stable(driver)
        waiting = driver.join(leader, instance_id="a")
        driver.join(instance_id="a")
        assert isinstance(driver.replies[waiting], FencedInstance)

    def test_a_returning_leader_is_told_not_to_assign(self, driver: GroupDriver) -> None:
        self.stable(driver)
        reply = driver.reply(driver.join(instance_id="a"), JoinReply)
        assert reply.skip_assignment
        assert reply.leader == reply.member_id
        assert len(reply.members) == 2

    def test_an_older_returning_leader_is_told_that_another_leads(
        self, driver: GroupDriver
    ) -> None:
        leader, _ = self.stable(driver)
        ticket = driver.join(instance_id="a", supports_skipping_assignment=False)
        reply = driver.reply(ticket, JoinReply)
        assert (reply.leader, reply.members, reply.skip_assignment) == (leader, (), False)

    def test_the_new_id_is_told_when_it_is_stored(self, driver: GroupDriver) -> None:
        self.stable(driver)
        driver.holds = True
        ticket = driver.join(instance_id="b")
        assert ticket not in driver.replies
        driver.finish_stores()
        assert isinstance(driver.replies[ticket], JoinReply)

    def test_the_new_id_is_not_told_when_it_cannot_be_stored(self, driver: GroupDriver) -> None:
        self.stable(driver)
        driver.holds = True
        ticket = driver.join(instance_id="b")
        driver.finish_stores("disk full")
        assert isinstance(driver.replies[ticket], CoordinatorUnavailable)
        assert driver.state() is State.STABLE

    def test_a_change_of_protocol_rebalances(self, driver: GroupDriver) -> None:
        leader, _ = self.stable(driver)
        driver.join(instance_id="b", protocols=(("sticky", b""), ("range", b"")))
        driver.join(instance_id="b", protocols=(("sticky", b""),))
        assert driver.state() is State.PREPARING
        assert driver.reply(driver.join(leader, instance_id="a"), JoinReply).protocol == "sticky"

    def test_a_restart_during_a_rebalance_joins_it(self, driver: GroupDriver) -> None:
        leader, _ = self.stable(driver)
        driver.join(leader, instance_id="a")
        reply = driver.reply(driver.join(instance_id="b"), JoinReply)
        assert reply.generation == 3

    def test_a_restart_before_the_assignment_rebalances(self, driver: GroupDriver) -> None:
        leader, _ = self.stable(driver)
        waiting = driver.join(leader, instance_id="a")
        driver.join(instance_id="b")
        assert driver.reply(waiting, JoinReply).generation == 3
        driver.join(instance_id="b")
        assert driver.state() is State.PREPARING

    def test_they_outlast_a_rebalance_they_miss(self, driver: GroupDriver) -> None:
        long: dict[str, Any] = {"session_timeout_ms": 10 * REBALANCE_MS}
        leader, _ = self.stable(driver, **long)
        waiting = driver.join(leader, instance_id="a", **long)
        driver.advance(REBALANCE_MS)
        assert len(driver.reply(waiting, JoinReply).members) == 2

    def test_when_none_rejoins_the_rebalance_is_put_off(self, driver: GroupDriver) -> None:
        leader, follower = self.stable(driver, session_timeout_ms=10 * REBALANCE_MS)
        newcomer, _ = driver.enter()
        driver.leave(LeavingMember(newcomer))
        driver.advance(REBALANCE_MS)
        assert driver.state() is State.PREPARING
        waiting = driver.join(follower, instance_id="b")
        driver.advance(REBALANCE_MS)
        reply = driver.reply(waiting, JoinReply)
        assert (reply.generation, reply.leader) == (3, follower)
        assert {member.member_id for member in reply.members} == {leader, follower}

    def test_an_administrator_removes_them_by_instance_id(self, driver: GroupDriver) -> None:
        leader, _ = self.stable(driver)
        left = driver.leave(LeavingMember("", "b"), LeavingMember("", "nobody"))
        assert [type(one.error) for one in left] == [type(None), UnknownMember]
        assert driver.reply(driver.join(leader, instance_id="a"), JoinReply).generation == 3


class TestCommits:
    def test_members_of_the_generation_may(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.group.check_commit(member, 1, None, 0)
        with pytest.raises(IllegalGeneration):
            driver.group.check_commit(member, 0, None, 0)
        with pytest.raises(UnknownMember):
            driver.group.check_commit("stranger", 1, None, 0)

    def test_nobody_else_may_while_there_are_members(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        with pytest.raises(UnknownMember):
            driver.group.check_commit("", -1, None, 0)
        driver.leave(LeavingMember(member))
        driver.group.check_commit("", -1, None, 0)

    def test_not_between_generation_and_assignment(self, driver: GroupDriver) -> None:
        member, _ = driver.enter()
        with pytest.raises(RebalanceInProgress):
            driver.group.check_commit(member, 1, None, 0)

    def test_members_may_while_others_join(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        driver.join(leader)
        driver.group.check_commit(follower, 2, None, 0)

    def test_a_commit_is_a_sign_of_life(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.advance(SESSION_MS - 1)
        driver.group.check_commit(member, 1, None, driver.now_ms)
        driver.advance(SESSION_MS - 1)
        assert driver.state() is State.STABLE


class TestRestoring:
    def test_members_go_on_without_noticing(self, driver: GroupDriver) -> None:
        leader, follower = driver.stable(2)
        metadata = driver.stores[-1].metadata
        loaded = GroupDriver()
        loaded.load(Group.restore("g", metadata, GroupSettings()))
        loaded.heartbeat(leader)
        assert loaded.group.members.leader == leader
        reply = loaded.reply(loaded.sync(follower), SyncReply)
        assert reply.assignment == follower.encode()
        assert loaded.group.metadata() == metadata
        loaded.advance(SESSION_MS)
        assert loaded.state() is State.EMPTY

    def test_an_empty_group_keeps_its_generation(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.leave(LeavingMember(member))
        loaded = GroupDriver()
        loaded.load(Group.restore("g", driver.stores[-1].metadata, GroupSettings()))
        _, ticket = loaded.enter()
        assert loaded.reply(ticket, JoinReply).generation == 3


class TestTopics:
    def test_consumers_say_what_they_read(self, driver: GroupDriver) -> None:
        def speaks(*topics: str) -> dict[str, Any]:
            return {"protocols": (("range", encode_subscription(Subscription(topics))),)}

        driver.enter(**speaks("a"))
        driver.enter(**speaks("b"))
        driver.join("m1", **speaks("a"))
        assert driver.group.subscribed_topics == frozenset(("a", "b"))
        assert driver.group.is_subscribed_to("b")
        assert not driver.group.is_subscribed_to("c")

    def test_who_does_not_say_is_taken_to_read_everything(self, driver: GroupDriver) -> None:
        driver.stable(1)
        assert driver.group.subscribed_topics is None
        assert driver.group.is_subscribed_to("any")


class TestDeleting:
    def test_nothing_is_answered_after_it(self, driver: GroupDriver) -> None:
        (member,) = driver.stable(1)
        driver.leave(LeavingMember(member))
        driver.group.give_way()
        assert isinstance(driver.replies[driver.join()], CoordinatorUnavailable)
        with pytest.raises(CoordinatorUnavailable):
            driver.group.heartbeat(HeartbeatRequest(group="g", generation=1, member_id=member), 0)
