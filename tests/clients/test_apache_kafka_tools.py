"""Apache Kafka's own command line programs do their work on Tidelog."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apache_kafka import ApacheKafka, KafkaTools, ToolRun
from tests.support.broker_process import BrokerProcess

pytestmark = pytest.mark.xdist_group("apache_kafka_tools")

_TOOLS = "org.apache.kafka.tools."
_TOPICS = _TOOLS + "TopicCommand"
_CONFIGS = "kafka.admin.ConfigCommand"
_PRODUCER = _TOOLS + "ConsoleProducer"
_CONSUMER = _TOOLS + "consumer.ConsoleConsumer"
_GROUPS = _TOOLS + "consumer.group.ConsumerGroupCommand"
_OFFSETS = _TOOLS + "GetOffsetShell"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def tools(apache_kafka: ApacheKafka) -> Iterator[KafkaTools]:
    running = apache_kafka.tools()
    yield running
    running.stop()


@pytest.fixture
def server(broker: BrokerProcess) -> tuple[str, str]:
    return "--bootstrap-server", broker.kafka


@pytest.fixture
def made(tools: KafkaTools, server: tuple[str, str]) -> str:
    """A topic of three partitions that their program has made."""
    name = f"tools-{next(_numbers)}"
    tools.run(_TOPICS, *server, "--create", "--topic", name, "--partitions", "3")
    return name


def partitions(text: str) -> list[int]:
    return [int(index) for index in re.findall(r"\tPartition: (\d+)\tLeader: 1\t", text)]


def test_topics(tools: KafkaTools, server: tuple[str, str], made: str) -> None:
    assert made in tools.run(_TOPICS, *server, "--list").out.split()
    shown = tools.run(_TOPICS, *server, "--describe", "--topic", made).out
    assert partitions(shown) == [0, 1, 2]
    assert "ReplicationFactor: 1" in shown
    tools.run(_TOPICS, *server, "--alter", "--topic", made, "--partitions", "5")
    shown = tools.run(_TOPICS, *server, "--describe", "--topic", made).out
    assert partitions(shown) == [0, 1, 2, 3, 4]
    fewer = ("--alter", "--topic", made, "--partitions", "4")
    assert tools.run(_TOPICS, *server, *fewer, check=False).status == 1
    tools.run(_TOPICS, *server, "--delete", "--topic", made)
    assert made not in tools.run(_TOPICS, *server, "--list").out.split()
    gone = ("--describe", "--topic", made)
    assert "does not exist" in tools.run(_TOPICS, *server, *gone, check=False).err


def test_settings(tools: KafkaTools, server: tuple[str, str], made: str) -> None:
    topic = (*server, "--entity-type", "topics", "--entity-name", made)
    added = "cleanup.policy=[compact,delete],retention.ms=86400000"
    tools.run(_CONFIGS, *topic, "--alter", "--add-config", added)
    shown = tools.run(_CONFIGS, *topic, "--describe").out
    assert "cleanup.policy=compact,delete" in shown
    assert "DYNAMIC_TOPIC_CONFIG:retention.ms=86400000" in shown
    tools.run(_CONFIGS, *topic, "--alter", "--delete-config", "cleanup.policy")
    shown = tools.run(_CONFIGS, *topic, "--describe").out
    assert "cleanup.policy" not in shown
    assert "retention.ms=86400000" in shown
    wrong = ("--alter", "--add-config", "retention.ms=never")
    assert tools.run(_CONFIGS, *topic, *wrong, check=False).status == 1
    all_of_broker = ("--entity-type", "brokers", "--entity-name", "1", "--describe", "--all")
    assert "num.partitions=1" in tools.run(_CONFIGS, *server, *all_of_broker).out


def test_settings_of_brokers(tools: KafkaTools, server: tuple[str, str], made: str) -> None:
    """Of all brokers and of this one, seen in a topic; and the levels of the log."""

    def configs(kind: str, *words: str, check: bool = True) -> ToolRun:
        return tools.run(_CONFIGS, *server, "--entity-type", kind, *words, check=check)

    setting, every, one = "log.roll.ms", ("--entity-default",), ("--entity-name", "1")
    configs("brokers", *every, "--alter", "--add-config", f"{setting}=3000000")
    configs("brokers", *one, "--alter", "--add-config", f"{setting}=4000000")
    shown = configs("brokers", *one, "--describe").out
    assert f"{setting}=4000000 sensitive=false" in shown
    for source in ("DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG"):
        assert f"{source}:{setting}=" in shown
    assert f"{setting}=3000000" in configs("brokers", *every, "--describe").out
    of_topic = ("--entity-name", made, "--describe", "--all")
    assert "segment.ms=4000000 " in configs("topics", *of_topic).out
    for refused in (f"{setting}=never", "num.partitions=3", "log.roll.mss=5"):
        change = (*one, "--alter", "--add-config", refused)
        assert configs("brokers", *change, check=False).status == 1
    for whose in (one, every):
        configs("brokers", *whose, "--alter", "--delete-config", setting)
        assert setting not in configs("brokers", *whose, "--describe").out
    configs("broker-loggers", *one, "--alter", "--add-config", "groups=DEBUG")
    assert "groups=DEBUG" in configs("broker-loggers", *one, "--describe").out
    configs("broker-loggers", *one, "--alter", "--delete-config", "groups")
    assert "groups=INFO" in configs("broker-loggers", *one, "--describe").out


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_console_and_groups(
    tools: KafkaTools, server: tuple[str, str], made: str, protocol: str
) -> None:
    """What is typed in comes out, in a group of either protocol, which is then looked after."""
    group = f"group-of-{made}"
    lines = [f"key-{number % 5}:value-{number}" for number in range(30)]
    keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    codec = ("--compression-codec", "zstd")
    tools.run(_PRODUCER, *server, "--topic", made, *keyed, *codec, stdin="\n".join(lines) + "\n")
    shown = ("--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
    of_group = ("--group", group, "--command-property", f"group.protocol={protocol}")
    read = (_CONSUMER, *server, "--topic", made, "--from-beginning", "--timeout-ms", "30000")
    consumed = tools.run(*read, *of_group, *shown, "--max-messages", "30").out.splitlines()
    assert Counter(consumed) == Counter(lines)
    for key in range(5):
        of_key = [line for line in lines if line.startswith(f"key-{key}:")]
        assert [line for line in consumed if line in of_key] == of_key

    assert group in tools.run(_GROUPS, *server, "--list").out.split()
    described = tools.run(_GROUPS, *server, "--describe", "--group", group).out
    rows = re.findall(rf"{group} +{made} +(\d) +(\d+) +(\d+) +(\d+)", described)
    assert sum(int(offset) for _, offset, _, _ in rows) == 30
    assert all(lag == "0" for _, _, _, lag in rows)
    reset = ("--reset-offsets", "--group", group, "--topic", made, "--to-earliest", "--execute")
    tools.run(_GROUPS, *server, *reset)
    described = tools.run(_GROUPS, *server, "--describe", "--group", group).out
    rows = re.findall(rf"{group} +{made} +(\d) +(\d+) +(\d+) +(\d+)", described)
    assert [offset for _, offset, _, _ in rows] == ["0", "0", "0"]
    assert sum(int(lag) for _, _, _, lag in rows) == 30
    tools.run(_GROUPS, *server, "--delete", "--group", group)
    assert group not in tools.run(_GROUPS, *server, "--list").out.split()


def test_verifiable_producer_and_consumer(
    apache_kafka: ApacheKafka, tools: KafkaTools, server: tuple[str, str], made: str
) -> None:
    """The producer sums up while its process ends, so it has one of its own."""
    count = ("--max-messages", "500")
    ended = apache_kafka.run(_TOOLS + "VerifiableProducer", *server, "--topic", made, *count)
    sent = said(ended.stdout)
    (summary,) = (one for one in sent if one["name"] == "tool_data")
    assert (summary["sent"], summary["acked"]) == (500, 500)
    group = ("--group-id", f"verify-{made}", "--reset-policy", "earliest")
    topic = (*server, "--topic", made)
    read = said(tools.run(_TOOLS + "VerifiableConsumer", *topic, *group, *count).out)
    assert sum(one["count"] for one in read if one["name"] == "records_consumed") == 500
    committed = [one for one in read if one["name"] == "offsets_committed"]
    assert committed
    assert all(one["success"] for one in committed)
    assert "shutdown_complete" in [one["name"] for one in read]


def said(out: str) -> list[dict[str, Any]]:
    """The events that a verifiable program tells, one a line."""
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def test_performance(tools: KafkaTools, broker: BrokerProcess, made: str) -> None:
    count = ("--num-records", "20000")
    size = ("--record-size", "100", "--throughput", "-1")
    server = ("--command-property", f"bootstrap.servers={broker.kafka}")
    sent = tools.run(_TOOLS + "ProducerPerformance", "--topic", made, *count, *size, *server).out
    assert "20000 records sent" in sent
    address = ("--bootstrap-server", broker.kafka)
    read = tools.run(_TOOLS + "ConsumerPerformance", *address, "--topic", made, *count).out
    assert int(read.splitlines()[1].split(", ")[4]) >= 20_000


def test_offsets_and_deletion_of_records(
    tools: KafkaTools, server: tuple[str, str], made: str, tmp_path: Path
) -> None:
    lines = "".join(f"value-{number}\n" for number in range(20))
    tools.run(_PRODUCER, *server, "--topic", made, stdin=lines)
    latest = offsets(tools.run(_OFFSETS, *server, "--topic", made).out)
    assert sum(latest.values()) == 20
    partition, end = max(latest.items(), key=lambda one: one[1])
    place = {"topic": made, "partition": partition, "offset": end - 1}
    wanted = tmp_path / "offsets.json"
    wanted.write_text(json.dumps({"version": 1, "partitions": [place]}))
    deleted = tools.run(_TOOLS + "DeleteRecordsCommand", *server, "--offset-json-file", str(wanted))
    assert f"partition: {made}-{partition}\tlow_watermark: {end - 1}" in deleted.out
    earliest = offsets(tools.run(_OFFSETS, *server, "--topic", made, "--time", "earliest").out)
    assert earliest[partition] == end - 1


def offsets(text: str) -> dict[int, int]:
    rows = (line.rsplit(":", 2) for line in text.split())
    return {int(partition): int(offset) for _, partition, offset in rows}


def test_what_is_not_there(tools: KafkaTools, server: tuple[str, str]) -> None:
    transactions = _TOOLS + "TransactionsCommand"
    assert tools.run(transactions, *server, "list").out.split()[0] == "TransactionalId"
    for kind in ("users", "clients", "ips"):
        assert tools.run(_CONFIGS, *server, "--describe", "--entity-type", kind).out == ""
    user = ("--entity-type", "users", "--entity-name", "u")
    for setting, reason in (
        ("producer_byte_rate=1024", "has no quotas"),
        ("SCRAM-SHA-256=[password=p]", "keeps no passwords"),
    ):
        change = ("--alter", *user, "--add-config", setting)
        refused = tools.run(_CONFIGS, *server, *change, check=False)
        assert refused.status != 0
        assert reason in refused.out + refused.err


def test_cluster(
    tools: KafkaTools, server: tuple[str, str], broker: BrokerProcess, made: str
) -> None:
    shown = tools.run(_TOOLS + "LogDirsCommand", *server, "--describe", "--topic-list", made).out
    described = json.loads(shown.splitlines()[-1])
    (directory,) = described["brokers"][0]["logDirs"]
    assert directory["logDir"] == str(broker.data_dir)
    assert {one["partition"] for one in directory["partitions"]} == {
        f"{made}-{index}" for index in range(3)
    }
    versions = tools.run(_TOOLS + "BrokerApiVersionsCommand", *server).out
    assert f"{broker.kafka} (id: 1 rack: null isFenced: false)" in versions
    assert "Produce(0): 0 to 13 [usable: 13]" in versions
    properties = (broker.data_dir / "meta.properties").read_text()
    (cluster_id,) = re.findall(r"cluster.id=(\S+)", properties)
    said = tools.run(_TOOLS + "ClusterTool", "cluster-id", *server).out
    assert said.strip() == f"Cluster ID: {cluster_id}"
