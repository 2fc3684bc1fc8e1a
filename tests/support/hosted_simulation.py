"""Callers of one group over HTTP in chaos: polls, lost answers, late repeats, deaths, restarts.

Runs the coordinator on a broker of its own and a clock that it moves. Each caller keeps to the
rules: it goes on with the cursor of the last answer that it got. Checked all the while:

- no two callers that are members take a partition for theirs;
- what is committed was given to somebody, and commits only go forward;
- a record is given twice only where the caller that had it was lost before it came back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.coordinator_site import Site
from tidelog.consumer_groups.errors import UnknownMember
from tidelog.consumer_groups.hosted.cursor import encode_cursor
from tidelog.consumer_groups.hosted_members import HostedJoin, HostedMembers, Standing
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition
from tidelog.storage.batches.record_batch import encode_batch

GROUP, TOPIC = "g", "t"
PARTITIONS, CALLERS = 6, 5
SESSION_MS = 30_000

Place = TopicIdPartition
Given = tuple[Place, int]


class Answer(NamedTuple):
    """What a poll is answered: the next cursor, what the caller has now, what it is given."""

    cursor: str
    partitions: frozenset[Place]
    given: frozenset[Given]


@dataclass
class Caller:
    member_id: str
    last: Answer
    sent: list[str] = field(default_factory=list)
    """Cursors of all its polls."""


class HostedSimulation:
    def __init__(self, data_dir: Path, seed: int) -> None:
        self._site = Site(data_dir, flush_mode="os")
        self._source = random.Random(seed)
        self._callers: list[Caller] = []
        self._joins = 0
        self._produced: set[Given] = set()
        self._given: set[Given] = set()
        self._may_repeat: set[Given] = set()
        self._committed: dict[int, int] = {}
        self.repeats = 0

    async def run(self, steps: int) -> None:
        await self._site.start()
        await self._site.topic(TOPIC, PARTITIONS)
        acts = (self._poll, self._poll, self._poll, self._produce, self._repeat, self._pass_time)
        rare = (self._join, self._join, self._leave, self._die, self._restart)
        for _ in range(steps):
            await self._source.choice(rare if self._source.random() < 0.15 else acts)()
            self._check()
        await self._drain()
        await self._site.stop()

    @property
    def _hosted(self) -> HostedMembers:
        return self._site.coordinator.hosted

    async def _restart(self) -> None:
        await self._site.restart()

    async def _produce(self) -> None:
        partition = self._source.choice(self._site.broker.topic(TOPIC).partitions)
        for _ in range(self._source.randint(1, 5)):
            offset = partition.end_offset
            partition.append(encode_batch([(self._site.clock.now_ms(), None, b"v", ())]))
            self._produced.add(((partition.topic_id, partition.index), offset))

    async def _join(self) -> None:
        """At times the answer is lost, and the join is sent again with the same key."""
        if len(self._callers) >= CALLERS:
            return
        self._joins += 1
        join = HostedJoin(
            group=GROUP,
            topics=(TOPIC,),
            session_timeout_ms=SESSION_MS,
            auto_offset_reset="earliest",
            key=str(self._joins),
        )
        standing = await self._hosted.join(join)
        if self._source.random() < 0.3:
            standing = await self._hosted.join(join)
        cursor = encode_cursor(GROUP, standing.member_id, standing.cursor)
        answer = Answer(cursor, frozenset(standing.cursor.positions), frozenset())
        self._callers.append(Caller(standing.member_id, answer))

    async def _poll(self) -> None:
        if self._callers:
            await self._poll_as(self._source.choice(self._callers), self._source.random() < 0.2)

    async def _poll_as(self, caller: Caller, is_lost: bool) -> None:
        sent = caller.last.cursor
        caller.sent.append(sent)
        try:
            standing = await self._send(caller, sent)
        except UnknownMember:
            self._give_up(caller)
            return
        if is_lost:
            return
        caller.last = answer = self._read(standing)
        again = answer.given & self._given
        assert again <= self._may_repeat, f"given twice: {sorted(again - self._may_repeat)}"
        self.repeats += len(again)
        self._may_repeat -= again
        self._given |= answer.given

    async def _send(self, caller: Caller, text: str) -> Standing:
        cursor = self._hosted.read_cursor(GROUP, caller.member_id, text)
        await self._hosted.commit_cursor(GROUP, caller.member_id, cursor)
        return await self._hosted.beat(GROUP, caller.member_id, cursor)

    def _read(self, standing: Standing) -> Answer:
        """Up to three records of each partition."""
        positions = dict(standing.cursor.positions)
        given: set[Given] = set()
        for partition in standing.partitions:
            place = partition.topic_id, partition.index
            end = min(positions[place] + self._source.randint(0, 3), partition.end_offset)
            given.update((place, offset) for offset in range(positions[place], end))
            positions[place] = end
        text = encode_cursor(GROUP, standing.member_id, standing.cursor.moved(positions))
        return Answer(text, frozenset(positions), frozenset(given))

    async def _repeat(self) -> None:
        """A poll of before arrives once more; nobody hears the answer."""
        senders = [caller for caller in self._callers if caller.sent]
        if senders:
            caller = self._source.choice(senders)
            try:
                await self._send(caller, self._source.choice(caller.sent[-3:]))
            except UnknownMember:
                self._give_up(caller)

    async def _leave(self) -> None:
        if not self._callers:
            return
        caller = self._source.choice(self._callers)
        try:
            await self._send_commit(caller)
            await self._hosted.leave(GROUP, caller.member_id)
        except UnknownMember:
            self._give_up(caller)
        else:
            self._callers.remove(caller)

    async def _send_commit(self, caller: Caller) -> None:
        cursor = self._hosted.read_cursor(GROUP, caller.member_id, caller.last.cursor)
        await self._hosted.commit_cursor(GROUP, caller.member_id, cursor)

    async def _die(self) -> None:
        """The caller is heard of no more; its session has still to end."""
        if self._callers:
            self._give_up(self._source.choice(self._callers))

    def _give_up(self, caller: Caller) -> None:
        self._callers.remove(caller)
        self._may_repeat |= caller.last.given

    def _miss_members(self) -> None:
        """Whoever is no member any more was silent, or too slow to give up partitions."""
        if not self._callers:
            return
        members = {one.member_id for one in self._site.coordinator.describe(GROUP).members}
        for caller in list(self._callers):
            if caller.member_id not in members:
                self._give_up(caller)

    async def _pass_time(self) -> None:
        self._site.clock.advance(self._source.choice((100, 1_000, 5_000, 20_000)))
        self._site.coordinator.expire_members()

    def _check(self) -> None:
        self._miss_members()
        owners: dict[Place, str] = {}
        for caller in self._callers:
            for place in caller.last.partitions:
                assert place not in owners, f"{place[1]} is {owners[place]}'s as well"
                owners[place] = caller.member_id
        topic_id = self._site.broker.topic(TOPIC).id
        for (_, index), offset in self._site.coordinator.offsets.committed(GROUP).items():
            assert offset.offset >= self._committed.get(index, 0), "a commit went back"
            self._committed[index] = offset.offset
            before = {((topic_id, index), n) for n in range(offset.offset)}
            assert before <= self._given, "committed what nobody was given"

    async def _drain(self) -> None:
        """Everybody polls in peace until all is given; the dead are given up first."""
        self._site.clock.advance(SESSION_MS)
        self._site.coordinator.expire_members()
        for caller in list(self._callers):
            await self._poll_as(caller, False)
        if not self._callers:
            await self._join()
        for _ in range(60):
            for caller in list(self._callers):
                await self._poll_as(caller, False)
            self._check()
        assert self._given == self._produced, "records were lost"
