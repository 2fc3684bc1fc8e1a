"""Asking for a group's coordinator, which Kafka answers once it has a topic for offsets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Wire


def test_the_topic_of_offsets_is_there_once_a_coordinator_is(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    with contextlib.closing(Wire(start_broker().kafka)) as wire:
        wire.ask("find_coordinator", 4, key_type=1, coordinator_keys=["transaction"])
        assert wire.ask("metadata", 12, topics=None)["topics"] == []
        wire.ask("find_coordinator", 4, key_type=0, coordinator_keys=["g", "h"])
        (topic,) = wire.ask("metadata", 12, topics=None)["topics"]
        assert (topic["name"], topic["is_internal"]) == ("__consumer_offsets", True)
        (named,) = wire.ask("metadata", 12, topics=[{"name": topic["name"]}])["topics"]
        assert named == topic
        described = {"topics": [{"name": topic["name"]}], "response_partition_limit": 2000}
        (shown,) = wire.ask("describe_topic_partitions", 0, **described)["topics"]
        assert (shown["error_code"], shown["is_internal"]) == (0, True)
        resources = [{"resource_type": 2, "resource_name": topic["name"]}]
        (result,) = wire.ask("describe_configs", 4, resources=resources)["results"]
        assert result["error_code"] == 0
        kept = {config["name"]: config["value"] for config in result["configs"]}
        assert kept["cleanup.policy"] == "compact"
