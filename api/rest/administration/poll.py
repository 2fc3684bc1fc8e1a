"""What a poll of a group member does: commit, live, read, wait for records, answer.

The same cursor is answered with the same records, so that a poll whose reply was lost can be sent
again: what the last answer of each member ended with is remembered, within a bound. Where that is
forgotten a repeated poll begins with the same records and may go on with newer ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from tidelog.api.rest.administration.group_models import PollMember
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.rendering import (
    encode_json,
    render_records,
    unreadable_list,
    with_place,
)
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.broker.records.reading import read_records
from tidelog.broker.waiting import DataWaiter
from tidelog.consumer_groups.hosted.cursor import encode_cursor
from tidelog.consumer_groups.hosted_members import Standing
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition
from tidelog.storage.errors import OffsetOutOfRange, UnreadableBatch

_REMEMBERED_MEMBERS = 10_000

Positions = Mapping[TopicIdPartition, int]


class Polled(NamedTuple):
    """Rendered records, and where the next ones are.

    Partitions are ``blocked`` where what comes next cannot be read, unless it is ``skipped``.
    """

    records: list[bytes]
    positions: Positions
    blocked: list[UnreadableBatch]
    skipped: list[UnreadableBatch]


class Poll:
    def __init__(self, context: RestContext) -> None:
        self._broker = context.broker
        self._hosted = context.coordinator.hosted
        self._stopping = context.stopping
        self._answered: OrderedDict[tuple[str, str], tuple[str, Positions]] = OrderedDict()

    async def __call__(
        self, group: str, member_id: str, body: PollMember, is_gone: Callable[[], Awaitable[bool]]
    ) -> bytes:
        """The reply's body. Raises what the member has to know, as ``HostedMembers`` does.

        ``is_gone`` says whether the caller has gone away: nobody is kept alive for it then.
        """
        cursor = self._hosted.read_cursor(group, member_id, body.cursor)
        if body.commit:
            await self._hosted.commit_cursor(group, member_id, cursor)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + body.wait_ms / 1000
        while True:
            with DataWaiter() as waiter:
                waiter.watch(self._hosted.watch(group, member_id))
                standing = await self._hosted.beat(group, member_id, cursor)
                for partition in standing.partitions:
                    waiter.watch(partition)
                polled = await self._read(group, standing, body)
                left_ms = (deadline - loop.time()) * 1000
                if polled.records or polled.skipped or standing.revoked:
                    break
                if polled.blocked:
                    raise polled.blocked[0]
                if left_ms <= 0:
                    break
                await waiter.wait(min(left_ms, standing.heartbeat_interval_ms))
            if self._stopping.is_set() or await is_gone():
                break
        return self._answer(group, standing, polled, body)

    def forget(self, group: str, member_id: str) -> None:
        """The member has left."""
        self._answered.pop((group, member_id), None)

    async def _read(self, group: str, standing: Standing, body: PollMember) -> Polled:
        """Up to the bounds, partition after partition, beginning with another one each time."""
        ends = self._ends(group, standing.member_id, body.cursor)
        positions = dict(standing.cursor.positions)
        rendered: list[bytes] = []
        blocked: list[UnreadableBatch] = []
        skipped: list[UnreadableBatch] = []
        left_bytes = body.max_bytes
        for partition in _in_turn(standing):
            left_records = body.max_records - len(rendered)
            if left_records <= 0 or left_bytes <= 0:
                break
            place = partition.topic_id, partition.index
            offset = positions[place]
            end = partition.high_watermark if ends is None else ends.get(place, offset)
            if offset >= end:
                continue
            try:
                records, following = await read_records(
                    *(partition, offset, min(left_records, end - offset), left_bytes),
                    skipped if body.on_corrupt == "skip" else None,
                )
            except OffsetOutOfRange:
                # Retention went past it just now; the next poll begins where it may.
                continue
            except UnreadableBatch as error:
                # Its partition waits for the member to pass it; the others do not.
                blocked.append(error)
                continue
            records = [record for record in records if record.offset < end]
            positions[place] = min(following, end)
            left_bytes -= sum(len(one.key or b"") + len(one.value or b"") for one in records)
            for line in render_records(records, body.value):
                rendered.append(with_place(line, partition.topic, partition.index))
        return Polled(rendered, positions, blocked, skipped)

    def _ends(self, group: str, member_id: str, cursor: str) -> Positions | None:
        """What the answer to this cursor ended with, if there has been one with records."""
        answered = self._answered.get((group, member_id))
        return answered[1] if answered is not None and answered[0] == cursor else None

    def _answer(self, group: str, standing: Standing, polled: Polled, body: PollMember) -> bytes:
        member_id = standing.member_id
        if (polled.records or polled.skipped) and self._ends(group, member_id, body.cursor) is None:
            self._answered[group, member_id] = body.cursor, polled.positions
            self._answered.move_to_end((group, member_id))
            if len(self._answered) > _REMEMBERED_MEMBERS:
                self._answered.popitem(last=False)
        following = standing.cursor.moved(polled.positions)
        told: dict[str, Any] = {
            "cursor": encode_cursor(group, member_id, following),
            "generation": following.generation,
            "assignment": [_place(one.topic, one.index) for one in standing.partitions],
            "revoked": self._named(standing.revoked),
            "rebalancing": standing.is_rebalancing,
        }
        for name, batches in (("blocked", polled.blocked), ("skipped", polled.skipped)):
            if batches:
                told[name] = msgspec.Raw(unreadable_list(batches))
        return b'{"records":[%b],%b' % (b",".join(polled.records), encode_json(told)[1:])

    def _named(self, places: tuple[TopicIdPartition, ...]) -> list[dict[str, str | int]]:
        """Without those of topics that are gone."""
        named = []
        for topic_id, partition in places:
            try:
                named.append(_place(self._broker.topic_by_id(topic_id).name, partition))
            except BrokerError:
                continue
        return named


def _in_turn(standing: Standing) -> tuple[Partition, ...]:
    partitions = standing.partitions
    first = standing.cursor.turn % max(len(partitions), 1)
    return partitions[first:] + partitions[:first]


def _place(topic: str, partition: int) -> dict[str, str | int]:
    return {"topic": topic, "partition": partition}
