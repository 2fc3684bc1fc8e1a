"""Programs that others wrote, run as people run them: kcat -L, kafka-python's admin tool."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.contract import Message
from tests.support.kafka_clients.every import OpenClients
from tests.support.kafka_clients.kcat import KcatClient


class KafkaAdminTool:
    """``python -m kafka.admin``."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def __call__(self, *arguments: str) -> Any:
        """What it prints as JSON. Raises AssertionError where it fails."""
        return json.loads(self.raw("--format", "json", *arguments))

    def raw(self, *arguments: str) -> str:
        """What it prints. Raises AssertionError where it fails."""
        tool = (sys.executable, "-W", "ignore", "-m", "kafka.admin", "-b", self._bootstrap)
        result = subprocess.run([*tool, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def admin_tool(broker: BrokerProcess) -> KafkaAdminTool:
    return KafkaAdminTool(broker.kafka)


def test_kcat_lists_brokers_topics_and_partitions(
    broker: BrokerProcess, clients: OpenClients, topic: str
) -> None:
    kcat = clients["kcat"]
    assert isinstance(kcat, KcatClient)
    shown = json.loads(kcat.run("-L", "-J", "-t", topic))
    assert shown["brokers"] == [{"id": 1, "name": broker.kafka}]
    (one,) = shown["topics"]
    assert one["topic"] == topic
    assert [partition["partition"] for partition in one["partitions"]] == [0, 1, 2]
    assert all(partition["leader"] == 1 for partition in one["partitions"])


def test_kcat_finds_offsets(clients: OpenClients, single: str) -> None:
    kcat = clients["kcat"]
    assert isinstance(kcat, KcatClient)
    kcat.produce(single, [Message(b"%d" % n) for n in range(5)])
    assert kcat.run("-Q", "-t", f"{single}:0:-1").endswith(b"offset 5\n")
    assert kcat.run("-Q", "-t", f"{single}:0:0").endswith(b"offset 0\n")


def test_the_admin_tool_of_kafka_python(
    admin_tool: KafkaAdminTool, clients: OpenClients, broker: BrokerProcess, topic: str
) -> None:
    name = f"{topic}-tool"
    (created,) = admin_tool("topics", "create", "-t", name, "--num-partitions", "2")["topics"]
    assert (created["name"], created["error_code"], created["num_partitions"]) == (name, 0, 2)
    (described,) = admin_tool("topics", "describe", "-t", name)
    assert len(described["partitions"]) == 2
    setting = ("-r", "topic", "-n", name)
    admin_tool("configs", "alter", *setting, "-c", "retention.ms=1234567")
    shown = admin_tool("configs", "describe", *setting, "-c", "retention.ms")
    assert shown["topic"][name]["retention.ms"]["value"] == "1234567"
    clients["kafka-python"].produce(name, [Message(b"", partition=1)] * 5)
    latest = admin_tool("partitions", "list-offsets", "-p", f"{name}:*:latest")
    assert [latest[name][index]["offset"] for index in "01"] == [0, 5]
    # As JSON it cannot show what it did, with any broker.
    admin_tool.raw("partitions", "delete-records", "-r", f"{name}:1:2")
    earliest = admin_tool("partitions", "list-offsets", "-p", f"{name}:1:earliest")
    assert earliest[name]["1"]["offset"] == 2
    (known,) = admin_tool("cluster", "describe")["brokers"]
    assert f"{known['host']}:{known['port']}" == broker.kafka


def test_the_admin_tool_and_groups(
    admin_tool: KafkaAdminTool, clients: OpenClients, single: str
) -> None:
    group = f"{single}-group"
    clients["kafka-python"].produce(single, [Message(b"")] * 5)
    with clients["kafka-python"].session(single, group) as session:
        session.read(5)
        session.commit()
    assert admin_tool("groups", "list-offsets", "-g", group)[single]["0"]["offset"] == 5
    admin_tool("groups", "alter-offsets", "-g", group, "-o", f"{single}:0:3")
    assert admin_tool("groups", "list-offsets", "-g", group)[single]["0"]["offset"] == 3
    assert admin_tool("groups", "describe", "-g", group)[group]["group_state"] == "Empty"
    assert admin_tool("groups", "delete", "-g", group) == {group: "OK"}
