"""How far groups are behind in partitions of which they have committed nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.coordinator_site import SESSION_MS, Site
from tidelog.consumer_groups.errors import UnknownGroup
from tidelog.consumer_groups.hosted_members import HostedJoin, Standing
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata
from tidelog.storage.batches.record_batch import encode_batch


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Topic t has three empty partitions."""
    site = Site(tmp_path / "data")
    await site.start()
    await site.topic("t", 3)
    yield site
    await site.stop()


def append(site: Site, index: int, count: int = 1, topic: str = "t") -> None:
    partition = site.broker.topic(topic).partition(index)
    partition.append(encode_batch([(site.clock.now_ms(), None, b"v", ())] * count))


async def lags(site: Site) -> dict[int, int | None]:
    return {line.partition: line.lag for line in await site.coordinator.lag("g")}


async def join(site: Site, reset: str = "earliest") -> Standing:
    return await site.coordinator.hosted.join(
        HostedJoin(group="g", topics=("t",), session_timeout_ms=SESSION_MS, auto_offset_reset=reset)
    )


async def poll(site: Site, standing: Standing, **ends: int) -> Standing:
    """As an HTTP caller does: bring the cursor back, be told to go on from the ends."""
    hosted, member_id = site.coordinator.hosted, standing.member_id
    await hosted.commit_cursor("g", member_id, standing.cursor)
    standing = await hosted.beat("g", member_id, standing.cursor)
    positions = {
        (topic_id, index): ends.get(f"p{index}", offset)
        for (topic_id, index), offset in standing.cursor.positions.items()
    }
    return await hosted.beat("g", member_id, standing.cursor.moved(positions))


class TestMembersOfHttp:
    @pytest.mark.parametrize("reset", ["earliest", "latest"])
    async def test_what_was_empty_counts_from_there(self, site: Site, reset: str) -> None:
        standing = await join(site, reset)
        assert await lags(site) == {0: 0, 1: 0, 2: 0}
        append(site, 1)
        assert await lags(site) == {0: 0, 1: 1, 2: 0}
        await site.coordinator.hosted.leave("g", standing.member_id)
        append(site, 2, 4)
        assert await lags(site) == {0: 0, 1: 1, 2: 4}

    async def test_what_was_not_counts_from_the_first_record(self, site: Site) -> None:
        append(site, 0, 5)
        await join(site)
        assert await lags(site) == {0: 5, 1: 0, 2: 0}

    async def test_positions_are_committed_once_with_the_second_poll(self, site: Site) -> None:
        append(site, 0, 5)
        standing = await join(site)
        standing = await poll(site, standing, p0=5)
        assert site.offsets("g") == {}
        offsets_topic = site.broker.topic("__consumer_offsets").partition(0)
        standing = await poll(site, standing)
        assert site.offsets("g") == {("t", 0): 5, ("t", 1): 0, ("t", 2): 0}
        end = offsets_topic.end_offset
        await poll(site, standing)
        assert offsets_topic.end_offset == end

    async def test_it_survives_a_restart(self, site: Site) -> None:
        standing = await poll(site, await join(site))
        standing = await poll(site, standing)
        await site.coordinator.hosted.leave("g", standing.member_id)
        append(site, 1)
        await site.restart()
        assert await lags(site) == {0: 0, 1: 1, 2: 0}

    async def test_the_next_one_begins_where_the_first_did(self, site: Site) -> None:
        """Although it would begin at the end of what it does not know."""
        standing = await poll(site, await join(site))
        standing = await poll(site, standing)
        await site.coordinator.hosted.leave("g", standing.member_id)
        append(site, 1)
        standing = await join(site, "latest")
        assert sorted(standing.cursor.positions.values()) == [0, 0, 0]


class TestKafkaClients:
    async def test_what_was_empty_counts_from_there(self, site: Site) -> None:
        """The client asks for what is committed, and commits what it consumes alone."""
        append(site, 0)
        joined = await site.member("g", "t")
        site.coordinator.offsets.begin("g", [("t", 0), ("t", 1), ("t", 2), ("t", 9), ("u", 0)])
        await site.coordinator.offsets.commit(
            "g",
            {("t", 0): OffsetAndMetadata(1)},
            member_id=joined.member_id,
            generation=joined.generation,
        )
        append(site, 0)
        append(site, 2, 3)
        assert await lags(site) == {0: 1, 1: 0, 2: 3}

    async def test_a_restart_notes_what_is_empty_then(self, site: Site) -> None:
        append(site, 0)
        joined = await site.member("g", "t")
        await site.coordinator.offsets.commit(
            "g",
            {("t", 0): OffsetAndMetadata(1)},
            member_id=joined.member_id,
            generation=joined.generation,
        )
        await site.restart()
        append(site, 2, 3)
        assert await lags(site) == {0: 0, 1: 0, 2: 3}

    async def test_where_it_begins_is_not_known_of_others(self, site: Site) -> None:
        """It may begin at either end."""
        append(site, 0, 4)
        await site.member("g", "t")
        site.coordinator.offsets.begin("g", [("t", 0), ("t", 1)])
        assert await lags(site) == {0: None, 1: 0, 2: 0}

    async def test_what_is_not_known_is_told_of(self, site: Site) -> None:
        """A group of consumers reads all of a topic, also while nobody has a partition."""
        append(site, 0)
        append(site, 1)
        await site.member("g", "t")
        site.pass_time(SESSION_MS)
        await site.commit("g", "t", 1)
        assert await lags(site) == {0: 0, 1: None, 2: 0}

    async def test_whoever_only_commits_reads_what_it_commits(self, site: Site) -> None:
        await site.commit("g", "t", 0)
        append(site, 1)
        assert await lags(site) == {0: 0}


class TestForgetting:
    async def test_a_commit_says_where_the_group_is(self, site: Site) -> None:
        standing = await join(site)
        append(site, 1, 10)
        await site.coordinator.hosted.leave("g", standing.member_id)
        await site.coordinator.offsets.commit("g", {("t", 1): OffsetAndMetadata(7)})
        assert await lags(site) == {0: 0, 1: 3, 2: 0}
        await site.coordinator.offsets.delete("g", "t")
        assert await lags(site) == {0: 0, 2: 0}

    async def test_a_group_that_was_deleted(self, site: Site) -> None:
        standing = await join(site)
        await site.coordinator.hosted.leave("g", standing.member_id)
        await site.coordinator.delete("g")
        append(site, 1)
        with pytest.raises(UnknownGroup):
            await site.coordinator.lag("g")
        await site.member("g", "t")
        assert await lags(site) == {0: 0, 1: None, 2: 0}

    async def test_a_topic_that_was_made_anew(self, site: Site) -> None:
        standing = await join(site)
        await site.coordinator.hosted.leave("g", standing.member_id)
        await site.broker.delete_topic("t")
        await site.topic("t", 3, records=2)
        assert await lags(site) == {}

    async def test_records_that_went_are_not_behind(self, site: Site) -> None:
        await join(site)
        append(site, 1, 5)
        await site.broker.topic("t").partition(1).delete_records(3)
        assert await lags(site) == {0: 0, 1: 2, 2: 0}
