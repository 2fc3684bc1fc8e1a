"""A group of the new protocol, its log and many consumers, with everything that may go wrong.

Some of the consumers are classic ones.

Checked after every step: a partition has one owner; no two consumers that are members believe to
own the same partition; epochs only grow; whoever may commit owns what it commits. In the end
everybody has a share and nobody waits.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from tests.support.classic_consumer import ClassicConsumer
from tests.support.consumer_group_driver import REVOCATION_MS, Catalog
from tests.support.new_consumer import NewConsumer
from tidelog.consumer_groups.consumer import classic_requests as classic_member
from tidelog.consumer_groups.consumer import consumer_rebalance
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer.heartbeat import (
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import (
    FencedInstance,
    GroupError,
    UnreleasedInstance,
)
from tidelog.consumer_groups.records.consumer_group_records import (
    ConsumerGroupRecord,
    GroupEpochRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.settings import GroupSettings

SETTINGS = GroupSettings(consumer_session_timeout_ms=10_000, consumer_heartbeat_interval_ms=1_000)
REQUEST_TIMEOUT_MS = 3_000
TOPICS = ("a", "b", "log_c", "log_d")


class _Pending(NamedTuple):
    consumer: NewConsumer
    sent: ConsumerHeartbeat
    reply: ConsumerHeartbeatReply
    log_end: int


class ConsumerSimulation:
    def __init__(self, seed: int, consumers: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        self.catalog = Catalog(a=5, b=3, log_c=4)
        self.group = ConsumerGroup("g", SETTINGS)
        self.consumers: list[NewConsumer] = []
        self.calm = False
        self.commits = 0
        self.moves = 0
        self._most = consumers
        self._names = 0
        self._log: list[ConsumerGroupRecord] = []
        self._durable = 0
        self._pending: list[_Pending] = []
        self._epochs: Counter[str] = Counter()

    def run(self, steps: int) -> None:
        """Chaos for some steps, then peace: everybody must come to rest."""
        for _ in range(self._most):
            self._add()
        for _ in range(steps):
            if self.random.random() < 0.3:
                self._disturb()
            self._pass_time(self.random.choice([10, 200, 1_000]))
        self._add()
        self.calm = True
        until_ms = self.now_ms + 3 * (REVOCATION_MS + SETTINGS.consumer_session_timeout_ms)
        while self.now_ms < until_ms:
            self._pass_time(200)
        self._check_rest()
        assert self.commits > steps / 10, "hardly anybody got to work"
        assert self.moves > steps / 50, "hardly anything changed hands"

    def _disturb(self) -> None:
        kinds = {
            self._add: 6,
            self._leave: 2,
            self._kill: 2,
            self._stall: 2,
            self._restart_static: 3,
            self._subscribe: 2,
            self._change_topics: 1,
            self._restart_coordinator: 1,
        }
        self.random.choices(list(kinds), list(kinds.values()))[0]()

    def _pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self._flush()
        self._forget(self.group.overdue(self.now_ms))
        self.random.shuffle(self.consumers)
        for consumer in list(self.consumers):
            self._step(consumer)
            self._commit(consumer)
        self._check()

    # Disturbances

    def _add(self) -> None:
        for _ in range(self.random.randint(0, self._most - min(len(self.consumers), self._most))):
            self._names += 1
            instance_id = f"i{self._names}" if self.random.random() < 0.4 else None
            kind = ClassicConsumer if self.random.random() < 0.3 else NewConsumer
            consumer = kind(f"m{self._names}", instance_id, self._wants(kind))
            self.consumers.append(consumer)

    def _wants(self, kind: type[NewConsumer]) -> dict[str, object]:
        if kind is NewConsumer and self.random.random() < 0.3:
            return {"topic_names": (), "topic_regex": self.random.choice(["log_.*", ".*", "a|b"])}
        names = self.random.sample(TOPICS, self.random.randint(1, len(TOPICS)))
        return {"topic_names": tuple(names), "topic_regex": ""}

    def _some(self) -> NewConsumer | None:
        return self.random.choice(self.consumers) if self.consumers else None

    def _leave(self) -> None:
        if (consumer := self._some()) is not None:
            self.consumers.remove(consumer)
            if isinstance(consumer, ClassicConsumer):
                self._forget([consumer.member_id])
            else:
                self._say_goodbye(consumer, -1)

    def _say_goodbye(self, consumer: NewConsumer, epoch: int) -> None:
        try:
            self._send(
                consumer,
                ConsumerHeartbeat(
                    group="g",
                    member_id=consumer.member_id,
                    member_epoch=epoch,
                    instance_id=consumer.instance_id,
                ),
            )
        except GroupError:
            return

    def _kill(self) -> None:
        if (consumer := self._some()) is not None:
            self.consumers.remove(consumer)

    def _stall(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.stalled_until_ms = self.now_ms + self.random.randint(1_000, 30_000)

    def _restart_static(self) -> None:
        """The same instance as a new process; the old one left in order, or did not."""
        static = [one for one in self.consumers if one.instance_id is not None]
        if static:
            old = self.random.choice(static)
            self.consumers.remove(old)
            if self.random.random() < 0.7 and not isinstance(old, ClassicConsumer):
                self._say_goodbye(old, -2)
            self._names += 1
            self.consumers.append(type(old)(f"m{self._names}", old.instance_id, old.wants))

    def _subscribe(self) -> None:
        if (consumer := self._some()) is not None:
            consumer.subscribe(self._wants(type(consumer)))

    def _change_topics(self) -> None:
        name = self.random.choice(TOPICS)
        present = self.catalog.now().by_name
        if name not in present:
            self.catalog.put(name, self.random.randint(1, 5))
        elif self.random.random() < 0.5:
            self.catalog.put(name, present[name].partitions + 1)
        elif len(present) > 2:
            self.catalog.remove(name)

    def _restart_coordinator(self) -> None:
        """Killed, or cut from power: what was not flushed may be gone, and no reply for it came."""
        del self._log[self.random.choice([len(self._log), self._durable]) :]
        self._durable = len(self._log)
        self._pending.clear()
        self.group = ConsumerGroup("g", SETTINGS)
        for record in self._log:
            self.group.apply(record)
        self.group.resume(self.now_ms, self.now_ms)

    # Requests and replies

    def _step(self, consumer: NewConsumer) -> None:
        if self.now_ms < consumer.stalled_until_ms:
            return
        if consumer.asked is not None:
            if self.now_ms - consumer.asked_ms > REQUEST_TIMEOUT_MS:
                consumer.asked = consumer.said = None
            return
        if self.now_ms < consumer.next_ms:
            return
        consumer.next_ms = self.now_ms + SETTINGS.consumer_heartbeat_interval_ms
        try:
            heartbeat = consumer.heartbeat(self.group, self.catalog.now(), self.now_ms)
            if heartbeat is not None:
                self._send(consumer, heartbeat)
        except UnreleasedInstance:
            return
        except FencedInstance:
            self.consumers.remove(consumer)
        except GroupError:
            consumer.start_over()

    def _send(self, consumer: NewConsumer, heartbeat: ConsumerHeartbeat) -> None:
        topics = self.catalog.now()
        decision = consumer_rebalance.beat(self.group, heartbeat, topics, SETTINGS, self.now_ms)
        self._write(list(decision.records))
        self.group.topics_version = topics.version
        self.group.hear(consumer.member_id, self.now_ms)
        if heartbeat.classic is not None:
            classic_member.joined(self.group, consumer.member_id, self.now_ms)
        consumer.asked, consumer.asked_ms = heartbeat, self.now_ms
        pending = _Pending(consumer, heartbeat, decision.reply, len(self._log))
        self._pending.append(pending)

    def _forget(self, member_ids: list[str]) -> None:
        self._write(consumer_rebalance.forget(self.group, member_ids, self.catalog.now()))

    def _write(self, records: list[ConsumerGroupRecord]) -> None:
        self._log += records
        for record in records:
            if isinstance(record, GroupEpochRecord) and record.value is not None:
                assert record.value.epoch > self.group.epoch.epoch
            self.group.apply(record)
            self.moves += 1

    def _flush(self) -> None:
        if self.calm or self.random.random() < 0.8:
            self._durable = self.random.randint(self._durable, len(self._log))
        if self.calm:
            self._durable = len(self._log)
        later = []
        for pending in self._pending:
            if pending.log_end > self._durable:
                later.append(pending)
            elif self.calm or self.random.random() > 0.1:
                self._deliver(pending)
        self._pending = later

    def _deliver(self, pending: _Pending) -> None:
        consumer = pending.consumer
        if consumer.asked is pending.sent and pending.sent.member_epoch >= 0:
            consumer.asked = None
            consumer.hear(pending.sent, pending.reply)

    # Checks

    def _commit(self, consumer: NewConsumer) -> None:
        if not consumer.owned or consumer.epoch <= 0:
            return
        try:
            self.group.check_commit(consumer.member_id, consumer.epoch, consumer.owned)
        except GroupError:
            return
        self.commits += 1
        for place in consumer.owned:
            assert self.group.owner(place) == consumer.member_id, "a commit for another's partition"

    def _check(self) -> None:
        owners: Counter[TopicIdPartition] = Counter()
        for one in self.group.members.values():
            owners.update({*one.current.assigned, *one.current.revoking})
        assert max(owners.values(), default=0) <= 1, "a partition has two owners"
        believers: Counter[TopicIdPartition] = Counter()
        for consumer in self.consumers:
            member = self.group.members.get(consumer.member_id)
            if member is not None and member.current.member_epoch >= 0 and consumer.epoch > 0:
                believers.update(consumer.owned)
        assert max(believers.values(), default=0) <= 1, "two consumers own a partition"
        for member_id, one in self.group.members.items():
            assert one.current.member_epoch <= self.group.epoch.epoch, member_id

    def _check_rest(self) -> None:
        """Everybody has what its subscription asks for, and all of it is owned once."""
        assert self.group.members.keys() == {one.member_id for one in self.consumers}
        if not self.consumers:
            assert self.group.state_name == "Empty"
            return
        assert self.group.state_name == "Stable"
        by_name = self.catalog.now().by_name
        owned = [place for consumer in self.consumers for place in consumer.owned]
        assert len(owned) == len(set(owned))
        read = {
            name
            for member in self.group.members.values()
            for name in self.group.topics_read(member.subscription)
            if name in by_name
        }
        assert set(owned) == {
            (by_name[name].id, part) for name in read for part in range(by_name[name].partitions)
        }
        for consumer in self.consumers:
            assert consumer.owned == set(self.group.members[consumer.member_id].current.assigned)
