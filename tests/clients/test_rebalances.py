"""Members of several client libraries in one group: they join, leave, crash, stall and come back.

After each change every partition has one owner and every record is delivered; who commits before
it gives up causes none to come twice.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.group_members import PATIENCE_S, MemberProcess, Members
from tests.support.kafka_clients.kafkajs import KafkajsMissing

PARTITIONS = 12
QUICK = {
    "group.min.session.timeout.ms": 1_000,
    "group.consumer.min.session.timeout.ms": 1_000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 300,
}
PATIENT_MS = 30_000
"""A session that outlives a pause between two attempts to connect."""
NEW = {"library": "confluent", "protocol": "consumer"}
COOPERATIVE = {"library": "confluent", "strategy": "cooperative-sticky"}


class Scene:
    """A broker, a topic, a group and what was produced."""

    def __init__(self, broker: BrokerProcess) -> None:
        self.broker = broker
        self.produced: list[str] = []
        self._numbers = itertools.count()
        with broker.client() as http:
            topic = {"name": "t", "partitions": PARTITIONS}
            http.post("/v1/topics", json=topic).raise_for_status()
        self.members = Members(broker.kafka, "t", "g")

    def produce(self, count: int = 120) -> None:
        """To all partitions in turn."""
        numbers = list(itertools.islice(self._numbers, count))
        records = [{"value_text": str(n), "partition": n % PARTITIONS} for n in numbers]
        with self.broker.client() as http:
            http.post("/v1/topics/t/records", json={"records": records}).raise_for_status()
        self.produced += map(str, numbers)

    def settle(self, living: list[MemberProcess]) -> None:
        """Until all have an even share, have got what there is and have committed it."""
        self.members.wait_for_owners(living, PARTITIONS)
        self.produce()
        self.members.wait_for_records(self.produced)
        self.members.wait_for_commits()

    def twice(self) -> list[str]:
        return [value for value, times in self.members.delivered.items() if times > 1]

    def group(self) -> dict[str, Any]:
        with self.broker.client() as http:
            return _json(http.get("/v1/groups/g"))


def _json(answer: httpx.Response) -> dict[str, Any]:
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def scene(
    start_broker: Callable[..., BrokerProcess], request: pytest.FixtureRequest
) -> Iterator[Scene]:
    """Sessions are short, so that crashes show soon; a test may ask for others."""
    settings = {**QUICK, "group.consumer.session.timeout.ms": getattr(request, "param", 3_000)}
    flags = [flag for name, value in settings.items() for flag in ("--set", f"{name}={value}")]
    scene = Scene(start_broker(*flags))
    yield scene
    scene.members.end()


def join(scene: Scene, options: dict[str, Any]) -> MemberProcess:
    """Skips the test where the library is not to be had."""
    try:
        return scene.members.add(**options)
    except KafkajsMissing as reason:
        pytest.skip(str(reason))


CLASSIC = [
    {"library": "confluent"},
    {"library": "kafka-python"},
    {"library": "aiokafka"},
    {"library": "kafkajs"},
]
MIXED = [{"library": "confluent"}, NEW, {"library": "kafka-python"}, {"library": "aiokafka"}]


@pytest.mark.parametrize(
    "kinds", [CLASSIC, [NEW, NEW, NEW], MIXED], ids=["classic", "new", "mixed"]
)
def test_members_come_and_go(scene: Scene, kinds: list[dict[str, Any]]) -> None:
    living: list[MemberProcess] = []
    for options in kinds:
        living.append(join(scene, options))
        scene.settle(living)
    for _ in kinds[1:]:
        living.pop(0).leave()
        scene.settle(living)
    assert scene.twice() == []


@pytest.mark.parametrize("kinds", [CLASSIC, [NEW, NEW], MIXED], ids=["classic", "new", "mixed"])
def test_members_crash_and_stall(scene: Scene, kinds: list[dict[str, Any]]) -> None:
    living = [join(scene, options) for options in kinds]
    scene.settle(living)
    stalled, others = living[1], living[:1] + living[2:]
    stalled.stall()
    scene.members.wait_for_owners(others, PARTITIONS)
    assert scene.twice() == []
    stalled.go_on()
    scene.settle(living)
    living.pop().kill()
    scene.settle(living)


@contextmanager
def a_writer(scene: Scene) -> Iterator[None]:
    """Records come without a pause."""
    producer = confluent_kafka.Producer({"bootstrap.servers": scene.broker.kafka, "linger.ms": 1})
    numbers, enough = itertools.count(), threading.Event()

    def write() -> None:
        while not enough.wait(0.002):
            value = f"written {next(numbers)}"
            producer.produce("t", value)
            scene.produced.append(value)
            producer.poll(0)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        yield
    finally:
        enough.set()
        writing.join()
        assert producer.flush(PATIENCE_S) == 0


def test_members_come_and_go_while_records_come(scene: Scene) -> None:
    kinds = [{"library": "aiokafka"}, *CLASSIC[:3]]
    living = [join(scene, kinds[0])]
    scene.settle(living)
    with a_writer(scene):
        for options in kinds[1:]:
            living.append(join(scene, options))
            scene.members.wait_for_owners(living, PARTITIONS)
        for _ in kinds[1:]:
            living.pop(0).leave()
            scene.members.wait_for_owners(living, PARTITIONS)
    scene.members.wait_for_records(scene.produced)
    assert scene.twice() == []


def test_a_group_changes_its_protocol_and_changes_back(scene: Scene) -> None:
    classic = join(scene, {"library": "kafka-python"})
    scene.settle([classic])
    assert scene.group()["type"] == "classic"
    new = join(scene, NEW)
    scene.settle([classic, new])
    assert scene.group()["type"] == "consumer"
    new.leave()
    scene.settle([classic])
    assert scene.group()["type"] == "classic"
    assert scene.twice() == []


@pytest.mark.parametrize("options", [COOPERATIVE, NEW], ids=["cooperative", "new"])
def test_partitions_that_do_not_move_are_read_on(scene: Scene, options: dict[str, Any]) -> None:
    first = join(scene, options)
    scene.settle([first])
    told = len(first.owned_before)
    scene.settle([first, join(scene, options)])
    kept = first.owned
    assert len(kept) == PARTITIONS // 2
    assert all(kept <= owned for owned in first.owned_before[told:])
    assert scene.twice() == []


@pytest.mark.parametrize("scene", [PATIENT_MS], indirect=True, ids=["patient"])
@pytest.mark.parametrize(
    ("kinds", "how"),
    [(CLASSIC[:3], "stop"), (CLASSIC[:3], "kill"), ([NEW, NEW], "stop"), (MIXED[:3], "kill")],
    ids=["classic-stop", "classic-kill", "new-stop", "mixed-kill"],
)
def test_a_restart_of_the_broker_changes_nothing(
    scene: Scene, kinds: list[dict[str, Any]], how: str
) -> None:
    patient = {"session_timeout_ms": PATIENT_MS, "rebalance_timeout_ms": PATIENT_MS}
    living = [join(scene, {**options, **patient}) for options in kinds]
    scene.settle(living)
    generation = scene.group()["generation"]
    told = [list(one.owned_before) for one in living]
    getattr(scene.broker, how)()
    scene.broker.start_again()
    scene.settle(living)
    assert scene.group()["generation"] == generation
    assert [one.owned_before for one in living] == told
    assert scene.twice() == []


def test_a_rolling_restart_of_static_members_causes_no_rebalance(scene: Scene) -> None:
    scene.produce()
    names = [f"instance-{n}" for n in range(10)]
    consumers = {name: static_consumer(scene, name) for name in names}
    before = assignments(consumers)
    generation = scene.group()["generation"]
    for name in names:
        consumers[name].close()
        consumers[name] = static_consumer(scene, name)
        assert assignments(consumers) == before
    assert scene.group()["generation"] == generation
    for consumer in consumers.values():
        consumer.close()


def static_consumer(scene: Scene, instance_id: str) -> confluent_kafka.Consumer:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": scene.broker.kafka,
            "group.id": "g",
            "group.instance.id": instance_id,
            "session.timeout.ms": PATIENT_MS,
            "heartbeat.interval.ms": 300,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["t"])
    return consumer


def assignments(consumers: dict[str, confluent_kafka.Consumer]) -> dict[str, list[int]]:
    """What each has, once all have something and nothing is left over."""
    polls = int(PATIENCE_S / 0.02 / len(consumers))
    for _ in range(polls):
        for consumer in consumers.values():
            consumer.poll(0.02)
        owned = {
            name: sorted(place.partition for place in consumer.assignment())
            for name, consumer in consumers.items()
        }
        everything = sorted(partition for places in owned.values() for partition in places)
        if all(owned.values()) and everything == list(range(PARTITIONS)):
            return owned
    raise AssertionError(f"the group did not become stable: {owned}")
