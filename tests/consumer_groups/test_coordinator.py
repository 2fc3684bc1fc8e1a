"""The coordinator on a real broker: membership, commits, restarts, resets, lag, expiry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.coordinator_site import SESSION_MS, Site
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.errors import UnknownPartition, UnknownTopic
from tidelog.broker.state_topic import partition_of
from tidelog.consumer_groups.classic.consumer_protocol import (
    encode_assignment,
)
from tidelog.consumer_groups.classic.membership import (
    LeavingMember,
)
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.errors import (
    CoordinatorLoading,
    CoordinatorUnavailable,
    GroupNotEmpty,
    GroupSubscribed,
    IllegalGeneration,
    InvalidGroupId,
    InvalidReset,
    InvalidSessionTimeout,
    MetadataTooLarge,
    RebalanceInProgress,
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.offsets_topic import OFFSETS_TOPIC
from tidelog.consumer_groups.records.group_records import OffsetRecord, encode
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata, OffsetChange, ResetTarget
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch

RETENTION_MS = 7 * 24 * 3_600_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path / "data")
    await site.start()
    yield site
    if not site.broker.closing:
        await site.stop()


async def settled() -> None:
    """Let everything run that needs nothing from outside."""
    for _ in range(20):
        await asyncio.sleep(0)


class TestCommits:
    async def test_they_survive_a_restart(self, site: Site) -> None:
        await site.topic("t")
        await site.coordinator.offsets.commit("g", {("t", 1): OffsetAndMetadata(7, 3, "note")})
        before = site.coordinator.offsets.committed("g")
        assert before["t", 1][:4] == (7, 3, "note", site.clock.now_ms())
        await site.restart()
        assert site.coordinator.offsets.committed("g") == before

    async def test_one_that_cannot_be_encoded_fails_alone(self, site: Site) -> None:
        await site.topic("t")
        with pytest.raises(CoordinatorUnavailable):
            await site.coordinator.offsets.commit(
                "g", {("t", 0): OffsetAndMetadata(1, -1, "\ud800")}
            )
        await site.commit("g", "t", 2)
        assert site.offsets("g") == {("t", 0): 2}

    async def test_the_last_one_counts(self, site: Site) -> None:
        await site.topic("t")
        await asyncio.gather(*(site.commit("g", "t", offset) for offset in range(100)))
        assert site.offsets("g") == {("t", 0): 99}
        await site.restart()
        assert site.offsets("g") == {("t", 0): 99}

    async def test_they_share_appends_and_flushes(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("first", "t", 1)
        partition = site.broker.topic(OFFSETS_TOPIC).partition(0)
        syncs = site.broker.commit.syncs
        await asyncio.gather(*(site.commit(f"g{i}", "t", i) for i in range(500)))
        fetched = await partition.read(1, 1 << 20)
        assert len(list(batches(b"".join(fetched.data)))) <= 2
        assert site.broker.commit.syncs - syncs <= 2

    @pytest.mark.parametrize("seed", range(5))
    async def test_they_outlive_a_power_cut_when_acknowledged(
        self, tmp_path: Path, seed: int
    ) -> None:
        site = Site(tmp_path / "data")
        await site.start()
        await site.topic("t")
        for offset in range(5):
            await site.commit("g", "t", offset)
        partition = site.broker.topic(OFFSETS_TOPIC).partition(0)
        key, value = encode(OffsetRecord("lost", "t", 0, None))
        partition.append(encode_batch([(1, key, value, ())]))
        await site.cut_power(random.Random(seed))
        await site.start()
        assert site.offsets("g") == {("t", 0): 4}
        await site.stop()

    async def test_unknown_places_are_refused(self, site: Site) -> None:
        await site.topic("t")
        with pytest.raises(UnknownTopic):
            await site.commit("g", "nope", 1)
        with pytest.raises(UnknownPartition):
            await site.commit("g", "t", 1, 2, 3)
        assert site.offsets("g") == {}

    async def test_kafkas_way_commits_what_is_good(self, site: Site) -> None:
        await site.topic("t")
        errors = await site.coordinator.offsets.commit_each(
            "g",
            {
                ("t", 0): OffsetAndMetadata(4),
                ("t", 9): OffsetAndMetadata(4),
                ("nope", 0): OffsetAndMetadata(4),
                ("t", 1): OffsetAndMetadata(4, metadata="x" * 4097),
            },
        )
        assert {place: type(error) for place, error in errors.items()} == {
            ("t", 9): UnknownPartition,
            ("nope", 0): UnknownTopic,
            ("t", 1): MetadataTooLarge,
        }
        assert site.offsets("g") == {("t", 0): 4}

    async def test_beyond_the_end_is_accepted(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 1_000_000)
        assert site.offsets("g") == {("t", 0): 1_000_000}

    async def test_only_members_may_while_there_are_some(self, site: Site) -> None:
        await site.topic("t")
        joined = await site.member("g", "t")
        with pytest.raises(UnknownMember):
            await site.commit("g", "t", 1)
        offsets = {("t", 0): OffsetAndMetadata(1)}
        with pytest.raises(IllegalGeneration):
            await site.coordinator.offsets.commit(
                "g", offsets, member_id=joined.member_id, generation=9
            )
        await site.coordinator.offsets.commit(
            "g", offsets, member_id=joined.member_id, generation=joined.generation
        )

    async def test_a_member_of_no_group_is_told(self, site: Site) -> None:
        await site.topic("t")
        with pytest.raises(UnknownGroup):
            await site.coordinator.offsets.commit(
                "g", {("t", 0): OffsetAndMetadata(1)}, member_id="m", generation=1
            )

    async def test_of_a_topic_made_anew_nothing_is_committed(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 5)
        await site.broker.delete_topic("t")
        assert site.offsets("g") == {}
        await site.topic("t")
        assert site.offsets("g") == {}
        assert site.broker.committed_offset("g", "t", 0) is None
        await site.commit("g", "t", 1)
        assert site.offsets("g") == {("t", 0): 1}
        assert site.broker.committed_offset("g", "t", 0) == 1

    async def test_what_cannot_be_written_is_not_committed(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "data")
        await site.start()
        await site.topic("t")
        await site.commit("g", "t", 5)
        site.disk.room_bytes = 0
        with pytest.raises(CoordinatorUnavailable):
            await site.commit("g", "t", 6)
        assert site.offsets("g") == {("t", 0): 5}
        site.disk.room_bytes = None
        await site.commit("g", "t", 7)
        await site.stop()


class TestMembers:
    async def test_join_sync_leave(self, site: Site) -> None:
        await site.topic("t")
        first = await site.enter("g", "t")
        waiting = asyncio.create_task(site.enter("g", "t"))
        await settled()
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(first)
        first = await site.enter("g", "t", member_id=first.member_id)
        second = await waiting
        assert [member.member_id for member in first.members] == [
            first.member_id,
            second.member_id,
        ]
        follower = asyncio.create_task(site.sync(second, {}))
        await settled()
        assert not follower.done()
        assignments = {
            first.member_id: encode_assignment([("t", 0)]),
            second.member_id: encode_assignment([("t", 1)]),
        }
        led = await site.sync(first, assignments)
        assert led.assignment == assignments[first.member_id]
        assert (await follower).assignment == assignments[second.member_id]
        description = site.coordinator.describe("g")
        assert (description.state, description.protocol) == ("Stable", "range")
        assert [member.partitions for member in description.members] == [
            (("t", 0),),
            (("t", 1),),
        ]
        assert description.members[0].topics == ("t",)
        await site.coordinator.classic.leave("g", [LeavingMember(second.member_id)])
        with pytest.raises(RebalanceInProgress):
            site.heartbeat(first)

    async def test_a_silent_member_is_given_up_by_the_clock(self, site: Site) -> None:
        await site.topic("t")
        joined = await site.member("g", "t")
        site.pass_time(SESSION_MS - 1)
        assert site.coordinator.describe("g").state == "Stable"
        site.pass_time(1)
        assert site.coordinator.describe("g").state == "Empty"
        with pytest.raises(UnknownMember):
            site.heartbeat(joined)

    async def test_a_stable_group_survives_a_restart(self, site: Site) -> None:
        await site.topic("t")
        joined = await site.member("g", "t")
        before = site.coordinator.describe("g")
        await site.restart()
        assert site.coordinator.describe("g") == before
        site.heartbeat(joined)
        await site.coordinator.offsets.commit(
            "g",
            {("t", 0): OffsetAndMetadata(1)},
            member_id=joined.member_id,
            generation=joined.generation,
        )
        site.pass_time(SESSION_MS)
        assert site.coordinator.describe("g").state == "Empty"
        assert (await site.enter("g", "t")).generation == joined.generation + 2

    async def test_nobody_is_left_waiting_by_a_stop(self, site: Site) -> None:
        first = await site.enter()
        waiting = asyncio.create_task(site.enter())
        await settled()
        await site.stop()
        with pytest.raises(CoordinatorUnavailable):
            await waiting
        with pytest.raises(CoordinatorUnavailable):
            site.heartbeat(first)

    async def test_a_stop_begins_with_those_who_wait(self, site: Site) -> None:
        await site.topic("t")
        await site.enter()
        waiting = asyncio.create_task(site.enter())
        await settled()
        site.coordinator.stop_waiting()
        with pytest.raises(CoordinatorUnavailable):
            await waiting
        with pytest.raises(CoordinatorUnavailable):
            await site.enter()
        await site.commit("other", "t", 1)

    async def test_the_assignment_waits_for_the_disk(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "data")
        await site.start()
        joined = await site.enter()
        site.disk.room_bytes = 0
        with pytest.raises(CoordinatorUnavailable):
            await site.sync(joined, {joined.member_id: b"x"})
        assert site.coordinator.describe("g").state == "PreparingRebalance"
        site.disk.room_bytes = None
        again = await site.enter(member_id=joined.member_id)
        assert (await site.sync(again, {joined.member_id: b"y"})).assignment == b"y"
        await site.stop()

    async def test_who_cannot_join_leaves_no_trace(self, site: Site) -> None:
        with pytest.raises(InvalidSessionTimeout) as caught:
            await site.enter(session_timeout_ms=5)
        assert caught.value.minimum_ms == 6_000
        with pytest.raises(InvalidGroupId):
            await site.enter("")
        with pytest.raises(UnknownMember):
            await site.enter("g", member_id="stranger")
        assert site.coordinator.groups() == []

    async def test_leaving_a_group_that_does_not_exist(self, site: Site) -> None:
        (left,) = await site.coordinator.classic.leave("g", [LeavingMember("m")])
        assert isinstance(left.error, UnknownMember)

    async def test_a_client_that_hangs_up_changes_nothing_for_the_others(self, site: Site) -> None:
        first = await site.enter()
        gone = asyncio.create_task(site.enter())
        await settled()
        gone.cancel()
        again = await site.enter(member_id=first.member_id)
        assert len(again.members) == 2


class TestLoading:
    async def test_until_loaded_everybody_is_told(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 5)
        await site.stop()
        site.broker = await Broker.open(
            str(site.data_dir), site.settings, Environment(clock=site.clock)
        )
        site.coordinator = Coordinator(site.broker)
        await site.coordinator.start()
        with pytest.raises(CoordinatorLoading):
            site.coordinator.offsets.committed("g")
        with pytest.raises(CoordinatorLoading):
            await site.commit("g", "t", 6)
        assert site.broker.committed_offset("g", "t", 0) is None
        await site.coordinator.loaded()
        assert site.offsets("g") == {("t", 0): 5}

    async def test_records_that_make_no_sense_are_passed_over(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 5)
        partition = site.broker.topic(OFFSETS_TOPIC).partition(0)
        for key in (b"", b"\x00\x01bad", b"\x00\x09unknown"):
            partition.append(encode_batch([(1, key, b"value", ())]))
        await site.restart()
        assert site.offsets("g") == {("t", 0): 5}

    async def test_groups_are_spread_over_the_partitions(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "data", offsets_topic_num_partitions="5")
        await site.start()
        await site.topic("t")
        await asyncio.gather(*(site.commit(f"group-{i}", "t", i) for i in range(40)))
        topic = site.broker.topic(OFFSETS_TOPIC)
        assert sum(partition.end_offset for partition in topic.partitions) == 40
        assert all(partition.end_offset for partition in topic.partitions)
        await site.restart()
        assert [site.offsets(f"group-{i}") for i in range(40)] == [{("t", 0): i} for i in range(40)]
        await site.stop()

    @pytest.mark.parametrize(
        ("group", "partition"),
        # What Kafka's Utils.abs(group.hashCode()) % 50 gives in Java.
        [("", 0), ("g", 3), ("group-1", 49), ("polygenelubricants", 0), ("ü€😀", 35)],
    )
    def test_the_partition_is_the_one_kafka_chooses(self, group: str, partition: int) -> None:
        assert partition_of(group, 50) == partition

    async def test_the_topic_is_kafkas(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 5)
        topic = site.broker.topic(OFFSETS_TOPIC)
        assert topic.internal
        assert topic.settings["cleanup.policy"] == ("compact",)
        assert topic.settings["segment.bytes"] == 100 * 1024 * 1024


class TestDeleting:
    async def test_a_group_and_its_offsets(self, site: Site) -> None:
        await site.topic("t")
        joined = await site.member("g", "t")
        with pytest.raises(GroupNotEmpty):
            await site.coordinator.delete("g")
        await site.coordinator.classic.leave("g", [LeavingMember(joined.member_id)])
        await site.commit("g", "t", 5, 6)
        await site.coordinator.delete("g")
        for _ in range(2):
            assert site.coordinator.groups() == []
            with pytest.raises(UnknownGroup):
                site.coordinator.describe("g")
            with pytest.raises(UnknownGroup):
                await site.coordinator.delete("g")
            await site.restart()

    async def test_a_commit_on_its_way_does_not_outlive_the_deletion(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 1)
        await asyncio.gather(
            site.commit("other", "t", 1), site.commit("g", "t", 2, 3), site.coordinator.delete("g")
        )
        await site.restart()
        assert site.offsets("g") == {}

    async def test_offsets_of_a_topic(self, site: Site) -> None:
        await site.topic("t")
        await site.topic("u")
        await site.commit("g", "t", 1, 2)
        await site.commit("g", "u", 3)
        await site.coordinator.offsets.delete("g", "t", [1])
        assert site.offsets("g") == {("t", 0): 1, ("u", 0): 3}
        await site.coordinator.offsets.delete("g", "t")
        assert site.offsets("g") == {("u", 0): 3}
        with pytest.raises(UnknownGroup):
            await site.coordinator.offsets.delete("nobody", "t")

    async def test_a_group_without_offsets_is_empty_until_it_expires(self, site: Site) -> None:
        await site.topic("t")
        for group in ("deleted", "expired"):
            await site.commit(group, "t", 1)
            await site.coordinator.offsets.delete(group, "t")
        assert [one.state for one in site.coordinator.groups()] == ["Empty", "Empty"]
        await site.restart()
        assert site.coordinator.describe("deleted").state == "Empty"
        await site.coordinator.offsets.delete("deleted", "t")
        await site.coordinator.delete("deleted")
        with pytest.raises(UnknownGroup):
            site.coordinator.describe("deleted")
        assert [one.group for one in site.coordinator.groups()] == ["expired"]
        await site.commit("expired", "t", 1)
        await site.coordinator.offsets.expire()
        assert site.offsets("expired") == {("t", 0): 1}
        await site.coordinator.offsets.delete("expired", "t")
        await site.coordinator.offsets.expire()
        for _ in range(2):
            assert site.coordinator.groups() == []
            await site.restart()

    async def test_not_of_a_topic_that_members_read(self, site: Site) -> None:
        await site.topic("t")
        await site.topic("u")
        await site.commit("g", "t", 1)
        await site.commit("g", "u", 1)
        await site.member("g", "t")
        with pytest.raises(GroupSubscribed):
            await site.coordinator.offsets.delete("g", "t")
        await site.coordinator.offsets.delete("g", "u")
        assert site.offsets("g") == {("t", 0): 1}


class TestLists:
    async def test_groups_by_name(self, site: Site) -> None:
        await site.topic("t")
        await site.member("b", "t")
        await site.commit("a", "t", 1)
        assert [tuple(group) for group in site.coordinator.groups()] == [
            ("a", "Empty", "", "classic", 0),
            ("b", "Stable", "consumer", "classic", 1),
        ]

    async def test_a_group_of_offsets_alone_is_empty(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("a", "t", 1)
        description = site.coordinator.describe("a")
        assert (description.state, description.members) == ("Empty", ())


class TestLag:
    async def test_in_records_and_seconds(self, site: Site) -> None:
        await site.topic("t", 3, records=10)
        site.clock.advance(60_000)
        joined = await site.member("g", "t")
        await site.coordinator.offsets.commit(
            "g",
            {("t", 0): OffsetAndMetadata(4), ("t", 1): OffsetAndMetadata(10)},
            member_id=joined.member_id,
            generation=joined.generation,
        )
        behind, level, unknown = await site.coordinator.lag("g")
        assert (behind.committed, behind.end_offset, behind.lag) == (4, 10, 6)
        assert behind.lag_seconds == pytest.approx(60 - 0.004)
        assert (level.lag, level.lag_seconds) == (0, 0.0)
        assert (unknown.committed, unknown.lag, unknown.lag_seconds) == (None, None, None)
        assert {line.member_id for line in (behind, level, unknown)} == {joined.member_id}

    async def test_beyond_the_end_is_no_lag(self, site: Site) -> None:
        await site.topic("t", 1, records=1)
        await site.commit("g", "t", 5)
        (line,) = await site.coordinator.lag("g")
        assert line.lag == 0

    async def test_of_an_unknown_group(self, site: Site) -> None:
        with pytest.raises(UnknownGroup):
            await site.coordinator.lag("g")


class TestReset:
    @pytest.fixture(autouse=True)
    async def ten_records(self, site: Site) -> None:
        """Ten records of one millisecond each; the group is at 4 and has nothing for the second."""
        await site.topic("t", 2, records=10)
        self.first_ms = site.clock.now_ms()
        await site.commit("g", "t", 4)

    @pytest.mark.parametrize(
        ("to", "after"),
        [
            (ResetTarget.earliest(), 0),
            (ResetTarget.latest(), 10),
            (ResetTarget.offset(7), 7),
            (ResetTarget.offset(70), 10),
            (ResetTarget.shift(-3), 1),
            (ResetTarget.shift(-30), 0),
            (ResetTarget.shift(30), 10),
        ],
    )
    async def test_targets(self, site: Site, to: ResetTarget, after: int) -> None:
        changes = await site.coordinator.offsets.reset("g", to)
        assert changes == [OffsetChange("t", 0, 4, after)]
        assert site.offsets("g") == {("t", 0): after}

    async def test_by_time(self, site: Site) -> None:
        changes = await site.coordinator.offsets.reset(
            "g", ResetTarget.timestamp(self.first_ms + 3)
        )
        assert changes[0].after == 3
        changes = await site.coordinator.offsets.reset(
            "g", ResetTarget.timestamp(self.first_ms + 30)
        )
        assert changes[0].after == 10
        site.clock.advance(1_000)
        changes = await site.coordinator.offsets.reset("g", ResetTarget.duration(994))
        assert changes[0].after == 6

    async def test_a_dry_run_changes_nothing(self, site: Site) -> None:
        changes = await site.coordinator.offsets.reset("g", ResetTarget.latest(), dry_run=True)
        assert changes == [OffsetChange("t", 0, 4, 10)]
        assert site.offsets("g") == {("t", 0): 4}

    async def test_named_topics_and_partitions(self, site: Site) -> None:
        changes = await site.coordinator.offsets.reset("g", ResetTarget.latest(), topics=["t"])
        assert changes == [OffsetChange("t", 0, 4, 10), OffsetChange("t", 1, None, 10)]
        changes = await site.coordinator.offsets.reset(
            "new", ResetTarget.offset(2), partitions=[("t", 1)]
        )
        assert changes == [OffsetChange("t", 1, None, 2)]
        assert site.offsets("new") == {("t", 1): 2}

    async def test_what_is_not_there(self, site: Site) -> None:
        with pytest.raises(UnknownGroup):
            await site.coordinator.offsets.reset("nobody", ResetTarget.latest())
        with pytest.raises(UnknownTopic):
            await site.coordinator.offsets.reset("g", ResetTarget.latest(), topics=["nope"])
        with pytest.raises(UnknownPartition):
            await site.coordinator.offsets.reset("g", ResetTarget.latest(), partitions=[("t", 9)])
        with pytest.raises(InvalidReset):
            await site.coordinator.offsets.reset("g", ResetTarget.shift(1), topics=["t"])

    async def test_not_under_the_members_unless_forced(self, site: Site) -> None:
        await site.member("g", "t")
        with pytest.raises(GroupNotEmpty):
            await site.coordinator.offsets.reset("g", ResetTarget.latest())
        await site.coordinator.offsets.reset("g", ResetTarget.latest(), force=True)
        assert site.offsets("g") == {("t", 0): 10}


class TestExpiry:
    async def test_offsets_without_membership_from_their_commit_on(self, site: Site) -> None:
        await site.topic("t")
        await site.commit("g", "t", 1)
        site.clock.advance(RETENTION_MS - 1)
        await site.commit("g", "t", 1, 2)
        await site.coordinator.offsets.delete("g", "t", [0])
        await site.commit("old", "t", 1)
        site.clock.advance(RETENTION_MS - 1)
        await site.coordinator.offsets.expire()
        assert site.offsets("g") == {("t", 1): 2}
        site.clock.advance(1)
        await site.coordinator.offsets.expire()
        assert site.coordinator.groups() == []
        await site.restart()
        assert site.coordinator.groups() == []

    async def test_of_a_group_from_its_last_member_on(self, site: Site) -> None:
        await site.topic("t")
        joined = await site.member("g", "t")
        await site.coordinator.offsets.commit(
            "g",
            {("t", 0): OffsetAndMetadata(1)},
            member_id=joined.member_id,
            generation=joined.generation,
        )
        for _ in range(14):
            site.clock.advance(RETENTION_MS // 7)
            site.heartbeat(joined)
        await site.coordinator.offsets.expire()
        assert site.offsets("g") == {("t", 0): 1}
        await site.coordinator.classic.leave("g", [LeavingMember(joined.member_id)])
        await settled()
        site.clock.advance(RETENTION_MS - 1)
        await site.restart()
        await site.coordinator.offsets.expire()
        assert site.offsets("g") == {("t", 0): 1}
        site.clock.advance(1)
        await site.coordinator.offsets.expire()
        assert site.coordinator.groups() == []

    async def test_of_topics_that_a_stable_group_reads_no_more(self, site: Site) -> None:
        await site.topic("t")
        await site.topic("u")
        await site.commit("g", "t", 1)
        await site.commit("g", "u", 1)
        joined = await site.member("g", "t")
        site.clock.advance(RETENTION_MS)
        site.heartbeat(joined)
        await site.coordinator.offsets.expire()
        assert site.offsets("g") == {("t", 0): 1}

    async def test_of_topics_that_are_gone(self, site: Site) -> None:
        await site.topic("t")
        await site.topic("u")
        await site.commit("g", "t", 1)
        await site.commit("g", "u", 1)
        await site.broker.delete_topic("t")
        await site.coordinator.offsets.expire()
        await site.topic("t")
        assert site.offsets("g") == {("u", 0): 1}

    async def test_a_group_that_committed_nothing(self, site: Site) -> None:
        joined = await site.enter()
        await site.coordinator.classic.leave("g", [LeavingMember(joined.member_id)])
        await settled()
        assert len(site.coordinator.groups()) == 1
        await site.coordinator.offsets.expire()
        assert site.coordinator.groups() == []


async def test_every_record_is_one_that_kafka_knows(site: Site) -> None:
    await site.topic("t")
    joined = await site.member("g", "t")
    await site.coordinator.classic.leave("g", [LeavingMember(joined.member_id)])
    await site.commit("g", "t", 5)
    await site.coordinator.delete("g")
    partition = site.broker.topic(OFFSETS_TOPIC).partition(0)
    fetched = await partition.read(0, 1 << 20)
    data = b"".join(bytes(part) for part in fetched.data)
    keys = [
        (record.key[:2].hex(), record.value is None)
        for position, _ in batches(data)
        for record in decode_records(data, position=position)
        if record.key is not None
    ]
    assert keys == [
        ("0002", False),
        ("0002", False),
        ("0001", False),
        ("0001", True),
        ("0002", True),
    ]
