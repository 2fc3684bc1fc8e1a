"""``TidelogBroker``: started, used from unittest and asyncio, and gone afterwards."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from tidelog.api.testing import BrokerNotStarted, TidelogBroker

UNITTEST = """
import unittest
from confluent_kafka import Consumer, Producer
from tidelog.api.testing import TidelogBroker

class RoundTrip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = cls.enterClassContext(TidelogBroker())

    def test_round_trip(self):
        topic = self.broker.create_topic("orders")
        producer = Producer({"bootstrap.servers": self.broker.kafka})
        producer.produce(topic, b"hello")
        producer.flush()
        settings = {"group.id": "readers", "auto.offset.reset": "earliest"}
        consumer = Consumer({"bootstrap.servers": self.broker.kafka, **settings})
        consumer.subscribe([topic])
        self.assertEqual(consumer.poll(30).value(), b"hello")
        consumer.close()
"""

ASYNCIO = """
import asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from tidelog.api.testing import TidelogBroker

async def round_trip(broker):
    topic = broker.create_topic("orders")
    async with AIOKafkaProducer(bootstrap_servers=broker.kafka) as producer:
        await producer.send_and_wait(topic, b"hello")
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=broker.kafka, auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"hello"

def test_round_trip():
    with TidelogBroker() as broker:
        asyncio.run(round_trip(broker))
"""

ABANDON = """
import os
from tidelog.api.testing import TidelogBroker

broker = TidelogBroker()
broker.start()
print(broker.pid, flush=True)
input()
os._exit(1)
"""


def run(tmp_path: Path, module: str, *command: str) -> None:
    tmp_path.joinpath("test_example.py").write_text(module)
    result = subprocess.run(
        [sys.executable, "-m", *command, "test_example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_with_unittest(tmp_path: Path) -> None:
    run(tmp_path, UNITTEST, "unittest")


def test_with_asyncio(tmp_path: Path) -> None:
    run(tmp_path, ASYNCIO, "pytest")


def test_a_temporary_directory_goes_and_a_given_one_stays(tmp_path: Path) -> None:
    broker = TidelogBroker()
    with broker:
        broker.create_topic("orders", 2)
        data_dir = broker.data_dir
        assert data_dir.joinpath("orders-1").is_dir()
    assert not data_dir.parent.exists()
    with TidelogBroker(tmp_path / "kept") as broker:
        broker.create_topic("orders", 2, cleanup_policy="compact")
    with TidelogBroker(tmp_path / "kept") as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
        (topic,) = admin.describe_topics(["orders"])
        admin.close()
        assert len(topic["partitions"]) == 2


def test_a_topic_that_cannot_be_says_why() -> None:
    with TidelogBroker() as broker, pytest.raises(ValueError, match="spaces in it"):
        broker.create_topic("spaces in it")


def test_a_broker_that_does_not_start_shows_its_stderr() -> None:
    broker = TidelogBroker(settings={"num.partitions": "none"})
    with pytest.raises(BrokerNotStarted, match=r"status 2(.|\n)*num\.partitions") as raised:
        broker.start()
    assert "none" in raised.value.stderr
    assert not broker.data_dir.parent.exists()


def test_settings_of_the_surroundings_do_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("tidelog.toml").write_text("nonsense")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDELOG_HTTP", "nonsense")
    with TidelogBroker(Path("relative")) as broker:
        assert broker.http.startswith("http://127.0.0.1:")
        assert broker.data_dir == tmp_path / "relative" / "data"


def test_the_broker_ends_when_the_process_that_tests_is_killed() -> None:
    tester = subprocess.Popen(
        [sys.executable, "-c", ABANDON], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert tester.stdout is not None
    broker = os.pidfd_open(int(tester.stdout.readline()))
    try:
        tester.communicate(b"\n")
        ended, _, _ = select.select([broker], [], [], 30)
        assert ended
    finally:
        os.close(broker)


def test_until_eof_needs_something_to_end() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tidelog.api.cli", "serve", "--until-eof"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tidelog: --until-eof needs a pipe as standard input\n"
