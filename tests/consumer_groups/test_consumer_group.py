"""The new protocol (KIP-848): epochs, targets, incremental revocation, static members, regexes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.consumer_group_driver import REVOCATION_MS, ConsumerGroupDriver
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat
from tidelog.consumer_groups.errors import (
    FencedInstance,
    FencedMemberEpoch,
    GroupFull,
    InvalidHeartbeat,
    InvalidRegularExpression,
    StaleMemberEpoch,
    UnknownMember,
    UnreleasedInstance,
    UnsupportedAssignor,
)
from tidelog.consumer_groups.records.consumer_group_records import (
    CurrentRecord,
    GroupEpochRecord,
    MemberState,
    RegexRecord,
    SubscriptionRecord,
    TargetEpochRecord,
    TargetRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.settings import GroupSettings

SESSION_MS = GroupSettings().consumer_session_timeout_ms


@pytest.fixture
def driver() -> ConsumerGroupDriver:
    """Topic a has four partitions."""
    return ConsumerGroupDriver()


class TestJoining:
    def test_the_first_member_gets_everything(self, driver: ConsumerGroupDriver) -> None:
        reply = driver.join("x")
        assert reply.member_epoch == 2
        assert set(reply.assignment or ()) == driver.catalog.places("a", 0, 1, 2, 3)
        assert reply.heartbeat_interval_ms == 5_000
        assert driver.group.state_name == "Stable"

    def test_records_come_in_kafkas_order(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        assert [type(record) for record in driver.records] == [
            SubscriptionRecord,
            GroupEpochRecord,
            TargetRecord,
            TargetEpochRecord,
            CurrentRecord,
        ]

    def test_a_heartbeat_that_changes_nothing_writes_nothing(
        self, driver: ConsumerGroupDriver
    ) -> None:
        driver.join("x")
        reply = driver.beat("x", 2)
        assert driver.records == []
        assert (reply.member_epoch, reply.assignment) == (2, None)

    def test_a_member_that_lost_track_asks_for_everything(
        self, driver: ConsumerGroupDriver
    ) -> None:
        driver.join("x")
        reply = driver.beat("x", 2, rebalance_timeout_ms=1, topic_names=("a",), owned=())
        assert len(reply.assignment or ()) == 4

    def test_partitions_change_hands_when_they_are_given_up(
        self, driver: ConsumerGroupDriver
    ) -> None:
        driver.join("x")
        second = driver.join("y")
        assert (second.member_epoch, second.assignment) == (3, ())
        assert driver.group.state_name == "Reconciling"
        told = driver.beat("x", 2)
        kept = set(told.assignment or ())
        assert (told.member_epoch, len(kept)) == (2, 2)
        assert driver.beat("y", 3).assignment is None
        assert driver.beat("x", 2).assignment is None
        assert driver.beat("x", 2, owned=tuple(kept)).member_epoch == 3
        got = driver.beat("y", 3).assignment
        assert set(got or ()) == driver.catalog.every() - kept
        assert driver.group.state_name == "Stable"

    def test_who_has_nothing_to_give_up_goes_on_at_once(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        reply = driver.join("y", "b")
        assert reply.assignment == ()
        assert driver.beat("x", 2).member_epoch == 3

    def test_a_member_that_rejoins_gets_what_it_has(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        again = driver.join("x")
        assert (again.member_epoch, len(again.assignment or ())) == (2, 4)

    def test_no_more_members_than_the_limit(self) -> None:
        driver = ConsumerGroupDriver(GroupSettings(consumer_max_size=1))
        driver.join("x")
        driver.join("x")
        with pytest.raises(GroupFull):
            driver.join("y")

    def test_most_members_choose_the_assignor(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        assert driver.group.assignor() == "uniform"
        driver.join("y", assignor="range")
        assert driver.group.assignor() == "range"
        with pytest.raises(UnsupportedAssignor):
            driver.join("z", assignor="best")

    def test_topics_that_do_not_exist_yet(self, driver: ConsumerGroupDriver) -> None:
        assert driver.join("x", "b").assignment == ()
        driver.catalog.put("b", 2)
        reply = driver.beat("x", 2)
        assert (reply.member_epoch, len(reply.assignment or ())) == (3, 2)

    @pytest.mark.parametrize(
        "said",
        [
            {"member_id": ""},
            {"group": ""},
            {"instance_id": ""},
            {"rack_id": ""},
            {"rebalance_timeout_ms": -1},
            {"owned": None},
            {"topic_names": None},
            {"member_epoch": -3},
            {"member_epoch": -2},
        ],
    )
    def test_what_makes_no_sense(self, driver: ConsumerGroupDriver, said: dict[str, Any]) -> None:
        whole: dict[str, Any] = {
            "group": "g",
            "member_id": "x",
            "member_epoch": 0,
            "rebalance_timeout_ms": 1,
            "topic_names": (),
            "owned": (),
        }
        driver.send(ConsumerHeartbeat(**whole))
        with pytest.raises(InvalidHeartbeat):
            driver.send(ConsumerHeartbeat(**{**whole, **said}))


class TestFencing:
    def test_strangers_and_wrong_epochs(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        with pytest.raises(UnknownMember):
            driver.beat("stranger", 2)
        for epoch in (1, 3):
            with pytest.raises(FencedMemberEpoch):
                driver.beat("x", epoch)

    def test_the_previous_epoch_will_do_if_a_reply_was_lost(
        self, driver: ConsumerGroupDriver
    ) -> None:
        driver.join("x")
        driver.join("y", "b")
        assert driver.beat("x", 2).member_epoch == 3
        with pytest.raises(FencedMemberEpoch):
            driver.beat("x", 2)
        owned = tuple(driver.assigned("x"))
        assert driver.beat("x", 2, owned=owned).member_epoch == 3

    def test_it_will_not_do_with_partitions_of_others(self, driver: ConsumerGroupDriver) -> None:
        first = driver.join("x")
        driver.join("y")
        driver.settle()
        with pytest.raises(FencedMemberEpoch):
            driver.beat("x", 2, owned=first.assignment)

    def test_the_silent_are_given_up(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.join("y")
        driver.settle()
        driver.advance(SESSION_MS - 1)
        driver.beat("x", 3)
        driver.advance(1)
        assert list(driver.group.members) == ["x"]
        reply = driver.beat("x", 3)
        assert (reply.member_epoch, len(reply.assignment or ())) == (4, 4)

    def test_who_does_not_give_up_partitions_in_time_is_out(
        self, driver: ConsumerGroupDriver
    ) -> None:
        driver.join("x")
        driver.join("y")
        driver.beat("x", 2)
        for _ in range(3):
            driver.advance(REVOCATION_MS // 3)
            if "x" in driver.group.members:
                driver.beat("x", 2)
            driver.beat("y", driver.epoch("y"))
        assert list(driver.group.members) == ["y"]
        driver.settle()
        assert driver.assigned("y") == driver.catalog.every()


class TestLeaving:
    def test_a_member_leaves(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.join("y")
        driver.settle()
        assert driver.beat("y", -1).member_epoch == -1
        assert [type(record) for record in driver.records] == [
            CurrentRecord,
            TargetRecord,
            SubscriptionRecord,
            GroupEpochRecord,
        ]
        assert driver.group.state_name == "Assigning"
        driver.settle()
        assert driver.assigned("x") == driver.catalog.every()

    def test_the_last_one_leaves(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.beat("x", -1)
        assert driver.group.state_name == "Empty"
        assert driver.group.epoch == (3, 0)
        assert driver.join("y").member_epoch == 4

    def test_whom_nobody_knows_cannot_leave(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        with pytest.raises(UnknownMember):
            driver.beat("y", -1)


class TestStaticMembers:
    def test_a_restart_moves_nothing(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x1", instance_id="x")
        driver.join("y1", instance_id="y")
        driver.settle()
        mine, epoch = driver.assigned("x1"), driver.group.epoch
        assert driver.beat("x1", -2, instance_id="x").member_epoch == -2
        reply = driver.join("x2", instance_id="x")
        assert set(reply.assignment or ()) == mine
        assert (driver.group.epoch, reply.member_epoch) == (epoch, 3)
        assert driver.beat("y1", 3).assignment is None
        assert driver.group.state_name == "Stable"

    def test_another_subscription_on_return_counts(self) -> None:
        driver = ConsumerGroupDriver(a=2, b=2)
        driver.join("x1", "a", instance_id="x")
        driver.beat("x1", -2, instance_id="x")
        driver.join("x2", "b", instance_id="x")
        driver.settle()
        assert driver.assigned("x2") == driver.catalog.places("b", 0, 1)

    def test_the_instance_is_in_use_until_it_is_released(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x1", instance_id="x")
        with pytest.raises(UnreleasedInstance):
            driver.join("x2", instance_id="x")
        driver.beat("x1", -2, instance_id="x")
        driver.join("x2", instance_id="x")
        with pytest.raises(FencedInstance):
            driver.beat("x1", 2, instance_id="x")
        with pytest.raises(UnknownMember):
            driver.beat("x1", 2, instance_id="nobody")

    def test_who_is_away_too_long_is_given_up(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x1", instance_id="x")
        driver.join("y")
        driver.settle()
        driver.beat("x1", -2, instance_id="x")
        driver.advance(SESSION_MS - 1)
        driver.beat("y", 3)
        driver.advance(1)
        driver.settle()
        assert driver.assigned("y") == driver.catalog.every()

    def test_who_is_away_cannot_go_on(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x1", instance_id="x")
        driver.beat("x1", -2, instance_id="x")
        nothing: tuple[TopicIdPartition, ...] = ()
        for owned in (None, nothing, tuple(driver.catalog.every())):
            with pytest.raises(FencedMemberEpoch):
                driver.beat("x1", 2, instance_id="x", owned=owned)


class TestSubscriptions:
    def test_topics_that_are_dropped_are_given_up_at_once(self) -> None:
        driver = ConsumerGroupDriver(a=2, b=2)
        driver.join("x", "a", "b")
        reply = driver.beat("x", 2, topic_names=("a",))
        assert set(reply.assignment or ()) == driver.catalog.places("a", 0, 1)
        assert driver.group.members["x"].current.state is MemberState.UNREVOKED_PARTITIONS
        assert driver.beat("x", 2, owned=reply.assignment).member_epoch == 3

    def test_partitions_that_are_added_are_assigned(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.catalog.put("a", 6)
        reply = driver.beat("x", 2)
        assert (reply.member_epoch, len(reply.assignment or ())) == (3, 6)

    def test_topics_that_nobody_reads_change_nothing(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.catalog.put("other", 6)
        assert driver.beat("x", 2).member_epoch == 2
        assert driver.records == []

    def test_topics_that_are_deleted_are_taken_away(self) -> None:
        driver = ConsumerGroupDriver(a=2, b=2)
        driver.join("x", "a", "b")
        driver.catalog.remove("b")
        driver.settle()
        assert driver.assigned("x") == driver.catalog.places("a", 0, 1)


class TestRegexes:
    def test_they_match_whole_names(self) -> None:
        driver = ConsumerGroupDriver(log_a=1, log_b=1, my_log_c=1)
        driver.join("x", topic_names=None, topic_regex="log_.")
        expected = driver.catalog.places("log_a", 0) | driver.catalog.places("log_b", 0)
        assert driver.assigned("x") == expected
        assert driver.group.is_subscribed_to("log_a")
        assert not driver.group.is_subscribed_to("my_log_c")

    def test_new_topics_that_match_are_assigned(self) -> None:
        driver = ConsumerGroupDriver(log_a=1)
        driver.join("x", topic_names=None, topic_regex="log_.*")
        driver.catalog.put("log_new", 2)
        assert len(driver.beat("x", 2).assignment or ()) == 3

    def test_names_and_regexes_add_up(self) -> None:
        driver = ConsumerGroupDriver(a=1, log_a=1)
        driver.join("x", "a", topic_regex="log.*")
        assert driver.assigned("x") == driver.catalog.every()

    def test_one_that_nobody_uses_is_forgotten(self) -> None:
        driver = ConsumerGroupDriver(a=1, log_a=1)
        driver.join("x", topic_names=None, topic_regex="log.*")
        driver.beat("x", 2, topic_names=("a",), topic_regex="")
        assert RegexRecord("g", "log.*", None) in driver.records
        driver.settle()
        assert driver.assigned("x") == driver.catalog.places("a", 0)
        driver.join("y", topic_names=None, topic_regex="log.*")
        driver.beat("y", -1)
        assert driver.group.regexes == {}

    def test_nonsense_is_refused(self, driver: ConsumerGroupDriver) -> None:
        with pytest.raises(InvalidRegularExpression, match="missing"):
            driver.join("x", topic_names=None, topic_regex="[")
        assert driver.group.members == {}

    def test_there_is_no_slow_one(self) -> None:
        driver = ConsumerGroupDriver()
        driver.catalog.put("a" * 200, 1)
        driver.join("x", topic_names=None, topic_regex="(a*)*b")
        assert driver.assigned("x") == set()


class TestOffsets:
    def test_members_at_their_epoch_may_commit(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.group.check_commit("x", 2, driver.catalog.every())
        driver.group.check_fetch("x", 2)
        for epoch in (-1, 1, 3):
            with pytest.raises(StaleMemberEpoch):
                driver.group.check_commit("x", epoch, driver.catalog.every())
        with pytest.raises(StaleMemberEpoch):
            driver.group.check_fetch("x", 1)
        with pytest.raises(UnknownMember):
            driver.group.check_commit("", -1, driver.catalog.every())
        with pytest.raises(UnknownMember):
            driver.group.check_fetch("y", 2)

    def test_an_empty_group_takes_commits_of_anybody(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.beat("x", -1)
        driver.group.check_commit("", -1, driver.catalog.every())

    def test_an_older_epoch_may_commit_what_it_still_has(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.join("y")
        driver.settle()
        driver.beat("y", -1)
        driver.settle()
        had = [
            place
            for place, epoch in driver.group.members["x"].current.assigned.items()
            if epoch == 2
        ]
        new = driver.assigned("x") - set(had)
        assert had
        assert new
        driver.group.check_commit("x", 3, had)
        with pytest.raises(StaleMemberEpoch):
            driver.group.check_commit("x", 3, new)


class TestRestoring:
    def test_the_log_says_everything(self) -> None:
        driver = ConsumerGroupDriver(a=4, log_a=2)
        driver.join("x", instance_id="i")
        driver.join("y", topic_regex="log.*", assignor="range")
        driver.beat("x", 2, instance_id="i")
        before = driver.group
        driver.reload()
        for name in ("epoch", "target_epoch", "members", "targets", "regexes"):
            assert getattr(driver.group, name) == getattr(before, name)
        assert all(
            driver.group.owner(place) == before.owner(place) for place in driver.catalog.every()
        )
        driver.settle()
        assert driver.group.state_name == "Stable"

    def test_members_have_a_session_to_be_heard_of(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.advance(SESSION_MS - 1)
        driver.reload()
        driver.advance(SESSION_MS - 1)
        assert driver.beat("x", 2).member_epoch == 2

    def test_tombstones_forget_it(self, driver: ConsumerGroupDriver) -> None:
        driver.join("x")
        driver.beat("x", -1)
        driver.log += driver.group.tombstones()
        last = {type(record).__name__ + str(record[:-1]): record[-1] for record in driver.log}
        assert set(last.values()) == {None}
