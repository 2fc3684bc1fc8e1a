"""What a cursor means for a member of HTTP: what it owns, where it reads on, what it commits."""

from __future__ import annotations

from uuid import UUID

import pytest

from tidelog.consumer_groups.hosted import hosted_member
from tidelog.consumer_groups.hosted.cursor import Cursor
from tidelog.consumer_groups.hosted.hosted_member import Extent
from tidelog.consumer_groups.records.consumer_group_records import (
    CurrentAssignment,
    MemberState,
    TopicIdPartition,
)

TOPIC = UUID(int=1)


def place(partition: int) -> TopicIdPartition:
    return TOPIC, partition


def current(
    epoch: int, assigned: dict[int, int], revoking: dict[int, int] | None = None
) -> CurrentAssignment:
    return CurrentAssignment(
        epoch,
        epoch - 1,
        MemberState.UNREVOKED_PARTITIONS if revoking else MemberState.STABLE,
        {place(one): since for one, since in assigned.items()},
        {place(one): since for one, since in (revoking or {}).items()},
    )


def cursor(generation: int, positions: dict[int, int], reset: str = "earliest") -> Cursor:
    return Cursor(generation, reset, None, {place(n): at for n, at in positions.items()})


class TestOwned:
    def test_what_the_cursor_has(self) -> None:
        owned = hosted_member.owned(current(5, {0: 3, 1: 4}), cursor(5, {0: 0, 1: 0}))
        assert set(owned) == {place(0), place(1)}

    def test_a_cursor_without_a_partition_gives_it_up(self) -> None:
        owned = hosted_member.owned(current(5, {0: 3}, {1: 4}), cursor(5, {0: 9}))
        assert owned == (place(0),)

    def test_an_older_cursor_gives_up_nothing(self) -> None:
        both = cursor(5, {0: 9, 1: 9})
        assert set(hosted_member.owned(current(5, {0: 3}, {1: 4}), both)) == {place(0), place(1)}

    def test_what_came_after_the_cursor_is_not_given_up_by_it(self) -> None:
        owned = hosted_member.owned(current(7, {0: 3}, {2: 7}), cursor(6, {0: 9}))
        assert set(owned) == {place(0), place(2)}

    def test_what_is_lost_is_not_claimed(self) -> None:
        assert hosted_member.owned(current(6, {0: 3}), cursor(5, {0: 9, 1: 9})) == (place(0),)


class TestPosition:
    @pytest.mark.parametrize(
        ("positions", "committed", "reset", "expected"),
        [
            ({0: 40}, 30, "earliest", 40),
            ({}, 30, "earliest", 30),
            ({}, None, "earliest", 10),
            ({}, None, "latest", 100),
            ({0: 9}, 30, "earliest", 10),
            ({0: 9}, 30, "latest", 100),
            ({}, 101, "earliest", 10),
            ({}, 100, "latest", 100),
        ],
    )
    def test_cursor_then_commit_then_reset(
        self, positions: dict[int, int], committed: int | None, reset: str, expected: int
    ) -> None:
        extent = Extent(10, 100, committed)
        held, asks = current(5, {0: 3}), cursor(5, positions, reset)
        assert hosted_member.position(place(0), held, asks, extent) == expected

    def test_a_partition_that_came_back_is_read_from_the_commit(self) -> None:
        extent = Extent(0, 100, 60)
        position = hosted_member.position(place(0), current(7, {0: 7}), cursor(5, {0: 40}), extent)
        assert position == 60


class TestToCommit:
    def commits(
        self, held: CurrentAssignment, asks: Cursor, committed: int | None
    ) -> dict[TopicIdPartition, int]:
        extents = {one: Extent(10, 100, committed) for one in asks.positions}
        return hosted_member.to_commit(held, asks, extents)

    def test_what_moved(self) -> None:
        held = current(5, {0: 3, 1: 3, 2: 3})
        assert self.commits(held, cursor(5, {0: 40, 1: 30, 2: 29}), 30) == {place(0): 40}

    def test_nothing_that_was_not_read(self) -> None:
        assert self.commits(current(5, {0: 3, 1: 3}), cursor(5, {0: 10, 1: 11}), None) == {
            place(1): 11
        }

    def test_where_a_poll_found_nothing_and_nothing_is_committed(self) -> None:
        held, asks = current(5, {0: 3, 1: 3}), cursor(5, {0: 10, 1: 11})
        assert self.commits(held, asks._replace(turn=1), None) == {place(0): 10, place(1): 11}

    def test_what_is_being_given_up(self) -> None:
        assert self.commits(current(5, {}, {0: 3}), cursor(5, {0: 40}), 30) == {place(0): 40}

    def test_nothing_that_others_have_by_now(self) -> None:
        assert self.commits(current(6, {1: 3}), cursor(5, {0: 40}), 30) == {}
        assert self.commits(current(6, {0: 6}), cursor(5, {0: 40}), 30) == {}

    def test_back_to_the_end_after_a_cut(self) -> None:
        """The log lost what was only written; the commit points beyond its end."""
        assert self.commits(current(5, {0: 3}), cursor(5, {0: 90}), 120) == {place(0): 90}
        assert self.commits(current(5, {0: 3}), cursor(5, {0: 110}), 120) == {}
