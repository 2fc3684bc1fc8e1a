"""A broker's number, which clients and their administrators address it by."""

from __future__ import annotations

from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

from tests.support.broker_process import BrokerProcess


def test_the_broker_has_the_number_that_it_was_given(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--set", "node.id=0")
    with KafkaAdminClient(bootstrap_servers=broker.kafka) as admin:
        assert [one["broker_id"] for one in admin.describe_cluster()["brokers"]] == [0]
        admin.create_topics([NewTopic("placed", replica_assignments={0: [0]})])
        admin.create_partitions({"placed": NewPartitions(3, [[0], [0]])})
        (topic,) = admin.describe_topics(["placed"])
        assert [one["leader_id"] for one in topic["partitions"]] == [0, 0, 0]
        resource = ConfigResource(ConfigResourceType.BROKER, "0")
        told = admin.describe_configs([resource], config_filter="all")["broker"]["0"]
        assert told["node.id"]["value"] == told["broker.id"]["value"] == "0"
    assert "node.id=0" in (broker.data_dir / "meta.properties").read_text().splitlines()
