"""Chaos among real members of one group while a producer writes; the seed decides what happens.

Not to the millisecond: processes are what they are. But who does what, in which order and after
which pause is the same for the same seed.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.apache_kafka import find_apache_kafka
from tests.support.broker_process import BrokerProcess
from tests.support.group_members import MemberProcess, Members

PARTITIONS = 12
MOST_MEMBERS = 5
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "group.consumer.min.session.timeout.ms": 1_000,
    "group.consumer.session.timeout.ms": 3_000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 300,
}
NEW = {"library": "confluent", "protocol": "consumer"}
CLASSIC = [{"library": name} for name in ("confluent", "kafka-python", "aiokafka")]
KINDS = {"classic": CLASSIC, "new": [NEW], "mixed": [NEW, *CLASSIC]}


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    protocol: str
    """classic, new or mixed."""
    seconds: float
    records: int


@dataclass(frozen=True, slots=True)
class Outcome:
    plan: Plan
    lost: int
    twice: int
    """Deliveries beyond the first of each record."""
    events: Counter[str]

    @property
    def text(self) -> str:
        plan = self.plan
        events = ", ".join(f"{count} {what}" for what, count in sorted(self.events.items()))
        return (
            f"seed {plan.seed}, {plan.protocol}, {plan.seconds:.0f} s: {events}\n"
            f"{plan.records:,} records written, {self.lost} lost, {self.twice} delivered twice"
        )


def run(plan: Plan, *, apache_kafka: bool = False) -> Outcome:
    """Against a broker of its own."""
    with tempfile.TemporaryDirectory(prefix="tidelog-chaos-") as directory:
        start = _apache_kafka if apache_kafka else _tidelog
        with start(Path(directory)) as bootstrap:
            chaos = Chaos(plan, bootstrap)
            try:
                return chaos.run()
            finally:
                chaos.members.end()


@contextmanager
def _tidelog(directory: Path) -> Iterator[str]:
    flags = [flag for name, value in SETTINGS.items() for flag in ("--set", f"{name}={value}")]
    broker = BrokerProcess(directory / "data", *flags)
    try:
        yield broker.kafka
    finally:
        broker.end()


@contextmanager
def _apache_kafka(directory: Path) -> Iterator[str]:
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    broker = find_apache_kafka().broker(directory / "data", *settings)
    try:
        yield broker.address
    finally:
        broker.stop()


class Chaos:
    def __init__(self, plan: Plan, bootstrap: str) -> None:
        self.members = Members(bootstrap, "chaos", "chaos")
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._bootstrap = bootstrap
        self._living: list[MemberProcess] = []
        self._stalled: dict[MemberProcess, float] = {}
        """Members that are stopped, and when they go on."""
        self._events: Counter[str] = Counter()

    def run(self) -> Outcome:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        created = admin.create_topics([NewTopic("chaos", PARTITIONS, 1)])
        created["chaos"].result()
        until = time.monotonic() + self._plan.seconds
        writer = threading.Thread(target=self._write)
        writer.start()
        self._join()
        while (now := time.monotonic()) < until:
            self._wake_stalled(now)
            self._disturb(now)
            self._pause(self._random.uniform(0.2, 1.5))
        self._wake_stalled(float("inf"))
        writer.join()
        if not self._living:
            self._join()
        everything = {str(number) for number in range(self._plan.records)}
        self.members.wait(lambda: len(self.members.delivered) == self._plan.records)
        for member in self._living:
            member.leave()
        delivered = self.members.delivered
        twice = sum(delivered.values()) - len(delivered)
        self._events["commits refused"] = sum(len(one.failed_commits) for one in self.members.all)
        return Outcome(self._plan, len(everything - delivered.keys()), twice, self._events)

    def _write(self) -> None:
        """All records, evenly over the time."""
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self._bootstrap, "enable.idempotence": True, "linger.ms": 5}
        )
        begin = time.monotonic()
        for number in range(self._plan.records):
            due_s = begin + self._plan.seconds * number / self._plan.records - time.monotonic()
            if due_s > 0:
                producer.poll(due_s)
            producer.produce("chaos", str(number), partition=number % PARTITIONS)
        assert producer.flush(60) == 0, "the producer could not write everything"

    def _pause(self, seconds: float) -> None:
        self.members.wait(lambda: False, seconds)

    def _wake_stalled(self, now: float) -> None:
        for member, until in list(self._stalled.items()):
            if until <= now:
                del self._stalled[member]
                member.go_on()

    def _disturb(self, now: float) -> None:
        kinds: dict[Callable[[], None], int] = {self._join: 5}
        if len(self._living) > 1:
            kinds |= {self._leave: 2, self._kill: 2, lambda: self._stall(now): 2}
        self._random.choices(list(kinds), list(kinds.values()))[0]()

    def _join(self) -> None:
        if len(self._living) < MOST_MEMBERS:
            self._events["joined"] += 1
            self._living.append(self.members.add(**self._random.choice(KINDS[self._plan.protocol])))

    def _leave(self) -> None:
        awake = [one for one in self._living if one not in self._stalled]
        if awake:
            self._events["left"] += 1
            member = self._random.choice(awake)
            self._living.remove(member)
            member.leave()

    def _kill(self) -> None:
        self._events["killed"] += 1
        member = self._random.choice(self._living)
        self._living.remove(member)
        self._stalled.pop(member, None)
        member.kill()

    def _stall(self, now: float) -> None:
        awake = [one for one in self._living if one not in self._stalled]
        if awake:
            self._events["stalled"] += 1
            member = self._random.choice(awake)
            self._stalled[member] = now + self._random.uniform(0.5, 6)
            member.stall()
