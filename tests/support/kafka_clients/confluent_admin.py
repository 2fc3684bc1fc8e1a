"""confluent-kafka's AdminClient."""

from __future__ import annotations

from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)


class ConfluentAdmin:
    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def create_topic(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        _done(self._admin.create_topics([NewTopic(name, partitions, config=configs)]))

    def delete_topic(self, name: str) -> None:
        _done(self._admin.delete_topics([name]))

    def topics(self) -> set[str]:
        return set(self._admin.list_topics().topics)

    def add_partitions(self, name: str, count: int) -> None:
        _done(self._admin.create_partitions([NewPartitions(name, count)]))

    def partitions(self, name: str) -> int:
        return len(self._admin.list_topics(name).topics[name].partitions)

    def configs(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        shown = _done(self._admin.describe_configs([resource]))
        return {entry.name: entry.value for entry in shown.values()}

    def alter_config(self, topic: str, name: str, value: str) -> None:
        change = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
        _done(self._admin.incremental_alter_configs([resource]))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        _done(self._admin.delete_records([TopicPartition(topic, partition, before)]))

    def groups(self) -> set[str]:
        return {one.group_id for one in self._admin.list_consumer_groups().result().valid}

    def group(self, group: str) -> tuple[str, int]:
        shown = _done(self._admin.describe_consumer_groups([group]))
        return shown.state.name.lower(), len(shown.members)

    def delete_group(self, group: str) -> None:
        _done(self._admin.delete_consumer_groups([group]))

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        asked = [ConsumerGroupTopicPartitions(group)]
        shown = _done(self._admin.list_consumer_group_offsets(asked))
        return {one.partition: one.offset for one in shown.topic_partitions if one.topic == topic}

    def set_offset(self, group: str, topic: str, partition: int, offset: int) -> None:
        place = TopicPartition(topic, partition, offset)
        asked = [ConsumerGroupTopicPartitions(group, [place])]
        result = _done(self._admin.alter_consumer_group_offsets(asked))
        assert all(one.error is None for one in result.topic_partitions)

    def brokers(self) -> list[str]:
        return [
            f"{node.host}:{node.port}" for node in self._admin.describe_cluster().result().nodes
        ]

    def close(self) -> None: ...


def _done(futures: dict[Any, Any]) -> Any:
    """The result of the one call that was made."""
    (future,) = futures.values()
    return future.result()
