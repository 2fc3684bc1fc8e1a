"""A group, its log and many consumers on one clock, with everything that may go wrong.

Checked after every step: a partition has one owner in a generation; a generation that was handed
out is never handed out again with another assignment; the log's generations only grow; whoever may
commit owns what it commits; no request waits longer than a rebalance can take.
"""

from __future__ import annotations

import random
from functools import partial

from tests.support.simulated_consumer import (
    PARTITIONS,
    REBALANCE_MS,
    SESSION_MS,
    SimulatedConsumer,
)
from tidelog.consumer_groups.classic.classic_group import Group
from tidelog.consumer_groups.classic.consumer_protocol import decode_assignment
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinRequest,
    LeavingMember,
    SyncRequest,
)
from tidelog.consumer_groups.classic.rebalance import Outcome, Result, State, Store
from tidelog.consumer_groups.errors import GroupError
from tidelog.consumer_groups.records.group_records import GroupMetadata
from tidelog.consumer_groups.settings import GroupSettings

LONGEST_WAIT_MS = 3 * REBALANCE_MS
SETTLING_MS = 4 * (REBALANCE_MS + SESSION_MS)

Owners = dict[str, tuple[tuple[str, int], ...]]
"""Partitions by instance id, or by member id for those without."""


class GroupSimulation:
    def __init__(self, seed: int, consumers: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        delay_ms = self.random.choice([0, 0, 2_000])
        max_size = self.random.choice([2**31 - 1, 2**31 - 1, consumers - 2])
        self._settings = GroupSettings(initial_rebalance_delay_ms=delay_ms, max_size=max_size)
        self.group = Group("g", self._settings)
        self.consumers: list[SimulatedConsumer] = []
        self.zombies: list[tuple[str, int, str | None, tuple[tuple[str, int], ...]]] = []
        self.calm = False
        self.commits = 0
        self._most = consumers
        self._tickets: dict[int, tuple[SimulatedConsumer, int]] = {}
        self._last_ticket = 0
        self._replies: list[tuple[SimulatedConsumer, int, Result]] = []
        self._names = 0
        self._log: list[GroupMetadata] = []
        self._durable = 0
        self._writing: list[Store] = []
        self._handed_out: dict[int, Owners] = {}

    # Running

    def run(self, steps: int) -> None:
        """Chaos for some steps, then peace: everybody must come to rest."""
        for _ in range(self._most):
            self._add()
        for _ in range(steps):
            if self.random.random() < 0.3:
                self._disturb()
            self._pass_time(self.random.choice([10, 200, 1_000, 3_000]))
        self._add()
        self.calm = True
        until_ms = self.now_ms + SETTLING_MS
        while self.now_ms < until_ms:
            self._pass_time(500)
        self._check_rest()
        assert self.commits > steps / 10, "hardly anybody got to work"
        assert len(self._handed_out) > 5, "hardly any rebalance came to an end"

    def _disturb(self) -> None:
        kinds = {
            self._add: 6,
            self._leave: 3,
            self._kill: 2,
            self._stall: 2,
            self._restart_static: 2,
            self._cut_connection: 2,
            self._restart_coordinator: 1,
            self._leave_by_instance: 1,
            self._change_leader_metadata: 1,
        }
        self.random.choices(list(kinds), list(kinds.values()))[0]()

    def _pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self._write()
        self._take(self.group.expire(self.now_ms))
        self._deliver()
        self.random.shuffle(self.consumers)
        for consumer in self.consumers:
            consumer.step()
            self._try_commit(consumer)
        if not self.calm:
            for zombie in self.zombies[-20:]:
                self._commit(*zombie)
        self._check()

    # Disturbances

    def _add(self) -> None:
        missing = max(self._most - sum(one.alive for one in self.consumers), 0)
        for _ in range(self.random.randint(0, missing)):
            instance_id = None
            if self.random.random() < 0.4:
                self._names += 1
                instance_id = f"i{self._names}"
            self.consumers.append(SimulatedConsumer(self, instance_id))

    def _some(self) -> SimulatedConsumer | None:
        alive = [consumer for consumer in self.consumers if consumer.alive]
        return self.random.choice(alive) if alive else None

    def _leave(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.leave()
            self._bury(consumer)

    def _kill(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.alive = False
            self._bury(consumer)

    def _bury(self, consumer: SimulatedConsumer) -> None:
        """Its process may not know that it is dead, and go on trying to commit."""
        self.consumers.remove(consumer)
        self.zombies.append(
            (
                consumer.member_id,
                consumer.generation,
                consumer.instance_id,
                consumer.partitions if consumer.is_member else (),
            )
        )

    def _stall(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.stalled_until_ms = self.now_ms + self.random.randint(1_000, 4 * SESSION_MS)

    def _restart_static(self) -> None:
        """The same instance as a new process, the old one perhaps still there."""
        static = [one for one in self.consumers if one.alive and one.instance_id is not None]
        if static:
            old = self.random.choice(static)
            if self.random.random() < 0.7:
                self._bury(old)
            self.consumers.append(SimulatedConsumer(self, old.instance_id))

    def _cut_connection(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.hang_up()

    def _leave_by_instance(self) -> None:
        static = [one for one in self.consumers if one.instance_id is not None]
        if static:
            self.leave(LeavingMember("", self.random.choice(static).instance_id))

    def _change_leader_metadata(self) -> None:
        """The leader sees new partitions and joins again."""
        for consumer in self.consumers:
            if consumer.member_id == self.group.members.leader:
                consumer.is_member = False

    def _restart_coordinator(self) -> None:
        """Killed, or cut from power: what was not flushed may be gone."""
        self._tickets.clear()
        self._replies.clear()
        self._writing.clear()
        del self._log[self.random.choice([len(self._log), self._durable]) :]
        self._durable = len(self._log)
        for consumer in self.consumers:
            consumer.hang_up()
        self.group = Group("g", self._settings)
        if self._log:
            self._hand_out(self._log[-1])
            self.group = Group.restore("g", self._log[-1], self._settings)
            self._take(self.group.resume(self.now_ms))

    # Network

    def join(self, consumer: SimulatedConsumer, request: JoinRequest) -> int:
        self._names += 1
        command = partial(self.group.join, request, new_id=f"m{self._names}", now_ms=self.now_ms)
        return self._ask(consumer, command)

    def sync(self, consumer: SimulatedConsumer, request: SyncRequest) -> int:
        return self._ask(consumer, partial(self.group.sync, request))

    def _ask(self, consumer: SimulatedConsumer, command: partial[Outcome]) -> int:
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (consumer, self.now_ms)
        self._take(command(ticket=self._last_ticket))
        return self._last_ticket

    def heartbeat(self, request: HeartbeatRequest) -> None:
        self.group.heartbeat(request, self.now_ms)

    def leave(self, member: LeavingMember) -> None:
        _, outcome = self.group.leave([member], self.now_ms)
        self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        for ticket, result in outcome.replies:
            assert isinstance(ticket, int)
            consumer, _ = self._tickets.pop(ticket)
            if self.calm or self.random.random() > 0.05:
                self._replies.append((consumer, ticket, result))
        for store in outcome.stores:
            if self._log:
                assert store.metadata.generation >= self._log[-1].generation
            self._log.append(store.metadata)
            self._writing.append(store)

    def _deliver(self) -> None:
        replies, self._replies = self._replies, []
        for consumer, ticket, result in replies:
            if self.calm or self.random.random() < 0.8:
                consumer.receive(ticket, result)
            else:
                self._replies.append((consumer, ticket, result))

    # The log

    def _write(self) -> None:
        """Some flushes end, in order; now and then one fails, and all that wait with it."""
        count = len(self._writing) if self.calm else self.random.randint(0, len(self._writing))
        done, self._writing = self._writing[:count], self._writing[count:]
        if done and not self.calm and self.random.random() < 0.05:
            failed, self._writing = done + self._writing, []
            del self._log[len(self._log) - len(failed) :]
            for store in failed:
                self._take(self.group.store_failed(store, "no room", self.now_ms))
            return
        for store in done:
            self._durable += 1
            self._hand_out(store.metadata)
            self._take(self.group.stored(store, self.now_ms))

    def _hand_out(self, metadata: GroupMetadata) -> None:
        """From now on members may learn of this assignment."""
        owners = {
            member.instance_id or member.member_id: decode_assignment(member.assignment)
            for member in metadata.members
        }
        before = self._handed_out.setdefault(metadata.generation, owners)
        assert before == owners, f"generation {metadata.generation} has two assignments"
        owned = [place for partitions in owners.values() for place in partitions]
        assert len(owned) == len(set(owned)), f"two owners: {owners}"

    # Checks

    def _check(self) -> None:
        for consumer, asked_ms in self._tickets.values():
            waited_ms = self.now_ms - asked_ms
            assert waited_ms <= LONGEST_WAIT_MS, f"{consumer.member_id} waits {waited_ms} ms"
        for consumer in self.consumers:
            if consumer.is_member and consumer.generation == self.group.generation:
                self._check_owned(consumer)
        self._check_fenced()
        if self._tickets:
            assert self.group.wake_ms < self.now_ms + LONGEST_WAIT_MS

    def _check_owned(self, consumer: SimulatedConsumer) -> None:
        owners = self._handed_out[consumer.generation]
        name = consumer.instance_id or consumer.member_id
        assert set(consumer.partitions) == set(owners[name])

    def _try_commit(self, consumer: SimulatedConsumer) -> None:
        if consumer.is_member and self.random.random() < 0.3:
            self._commit(
                consumer.member_id,
                consumer.generation,
                consumer.instance_id,
                consumer.partitions,
            )

    def _commit(
        self,
        member_id: str,
        generation: int,
        instance_id: str | None,
        partitions: tuple[tuple[str, int], ...],
    ) -> None:
        """Whoever may commit is the present owner."""
        if not member_id:
            return
        try:
            self.group.check_commit(member_id, generation, instance_id, self.now_ms)
        except GroupError:
            return
        if generation < 0:
            assert self.group.state is State.EMPTY
            return
        assert generation == self.group.generation
        self.commits += 1
        owners = self._handed_out.get(generation, {})
        assert set(partitions) <= set(owners.get(instance_id or member_id, ()))
        if instance_id is not None:
            current = self.group.members.static_member(instance_id)
            assert current is not None
            assert current.member_id == member_id, "a fenced member has committed"

    def _check_fenced(self) -> None:
        """Of two processes with one instance id, one at most has the member id that counts."""
        names = [one.member_id for one in self.consumers if one.is_member and one.instance_id]
        names += [member_id for member_id, _, instance_id, _ in self.zombies if instance_id]
        current = {member.member_id for member in self.group.members}
        known = [name for name in names if name in current]
        assert len(known) == len(set(known)), "an instance that came back has its old id"

    def _check_rest(self) -> None:
        """Everybody alive is a member of one stable generation that covers all partitions."""
        alive = [consumer for consumer in self.consumers if consumer.alive]
        assert not self._tickets
        if not alive:
            assert self.group.state is State.EMPTY
            return
        assert self.group.state is State.STABLE
        assert len(self.group.members) == len(alive)
        for consumer in alive:
            assert consumer.is_member, f"{consumer.member_id} is left out"
            assert consumer.generation == self.group.generation
        owned = [place for consumer in alive for place in consumer.partitions]
        assert len(owned) == len(set(owned)) == PARTITIONS
