"""aiokafka's admin client, which hands out the broker's answers as they are."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.support.kafka_clients.aio import AiokafkaClient


class AiokafkaAdmin:
    def __init__(self, bootstrap: str) -> None:
        self._client = AiokafkaClient(bootstrap)
        self._admin: AIOKafkaAdminClient = self._client.run(self._start())

    async def _start(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(**self._client.settings)
        await admin.start()
        return admin

    def create_topic(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        topic = NewTopic(name, partitions, 1, topic_configs=configs)
        _check(self._client.run(self._admin.create_topics([topic])).topic_errors)

    def delete_topic(self, name: str) -> None:
        _check(self._client.run(self._admin.delete_topics([name])).topic_error_codes)

    def topics(self) -> set[str]:
        return set(self._client.run(self._admin.list_topics()))

    def add_partitions(self, name: str, count: int) -> None:
        more = {name: NewPartitions(count)}
        _check(self._client.run(self._admin.create_partitions(more)).topic_errors)

    def partitions(self, name: str) -> int:
        (topic,) = self._client.run(self._admin.describe_topics([name]))
        return len(topic["partitions"])

    def configs(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        (answer,) = self._client.run(self._admin.describe_configs([resource]))
        (shown,) = answer.resources
        return {entry[0]: entry[1] for entry in shown[-1]}

    def alter_config(self, topic: str, name: str, value: str) -> None:
        """It has no incremental form: all other settings of the topic are reset."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: value})
        (answer,) = self._client.run(self._admin.alter_configs([resource]))
        ((code, message, *_),) = answer.resources
        assert code == 0, message

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        place = {TopicPartition(topic, partition): RecordsToDelete(before_offset=before)}
        self._client.run(self._admin.delete_records(place))

    def groups(self) -> set[str]:
        return {group for group, _ in self._client.run(self._admin.list_consumer_groups())}

    def group(self, group: str) -> tuple[str, int]:
        (answer,) = self._client.run(self._admin.describe_consumer_groups([group]))
        ((code, _, state, _, _, members),) = answer.groups
        assert code == 0
        return state.lower(), len(members)

    def delete_group(self, group: str) -> None:
        raise NotImplementedError

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        shown = self._client.run(self._admin.list_consumer_group_offsets(group))
        return {place.partition: one.offset for place, one in shown.items() if place.topic == topic}

    def set_offset(self, group: str, topic: str, partition: int, offset: int) -> None:
        raise NotImplementedError

    def brokers(self) -> list[str]:
        shown = self._client.run(self._admin.describe_cluster())
        return [f"{one['host']}:{one['port']}" for one in shown["brokers"]]

    def close(self) -> None:
        self._client.run(self._admin.close())
        self._client.close()


def _check(results: list[tuple[Any, ...]]) -> None:
    """One result of a topic: its name, the error code, perhaps a message."""
    ((_, code, *message),) = results
    assert code == 0, message or {3: "unknown topic"}.get(code, code)
