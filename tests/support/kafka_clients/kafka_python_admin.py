"""kafka-python's admin client."""

from __future__ import annotations

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata


class KafkaPythonAdmin:
    def __init__(self, bootstrap: str) -> None:
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create_topic(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        self._admin.create_topics([NewTopic(name, partitions, topic_configs=configs)])

    def delete_topic(self, name: str) -> None:
        self._admin.delete_topics([name])

    def topics(self) -> set[str]:
        return set(self._admin.list_topics())

    def add_partitions(self, name: str, count: int) -> None:
        self._admin.create_partitions({name: NewPartitions(count)})

    def partitions(self, name: str) -> int:
        (topic,) = self._admin.describe_topics([name])
        return len(topic["partitions"])

    def configs(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        shown = self._admin.describe_configs([resource], config_filter="all")
        return {key: entry["value"] for key, entry in shown["topic"][name].items()}

    def alter_config(self, topic: str, name: str, value: str) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: value})
        answer = self._admin.alter_configs([resource])["topic"][topic]
        assert "Error" not in answer, answer

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        self._admin.delete_records({TopicPartition(topic, partition): before})

    def groups(self) -> set[str]:
        return {one["group_id"] for one in self._admin.list_groups()}

    def group(self, group: str) -> tuple[str, int]:
        shown = self._admin.describe_groups([group])[group]
        return shown["group_state"].lower(), len(shown["members"])

    def delete_group(self, group: str) -> None:
        result = self._admin.delete_groups([group])
        assert result[group] == "OK", result

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        shown = self._admin.list_group_offsets({group: None})[group]
        return {place.partition: one.offset for place, one in shown.items() if place.topic == topic}

    def set_offset(self, group: str, topic: str, partition: int, offset: int) -> None:
        place = OffsetAndMetadata(offset, "", -1)
        self._admin.alter_group_offsets(group, {TopicPartition(topic, partition): place})

    def brokers(self) -> list[str]:
        return [f"{one['host']}:{one['port']}" for one in self._admin.describe_cluster()["brokers"]]

    def log_bytes(self, topic: str) -> int:
        """Bytes of a topic in all log directories."""
        directories = [
            one for broker in self._admin.describe_log_dirs() for one in broker["log_dirs"]
        ]
        topics = [one for directory in directories for one in directory["topics"]]
        return sum(
            partition["partition_size"]
            for one in topics
            if one["name"] == topic
            for partition in one["partitions"]
        )

    def close(self) -> None:
        self._admin.close()
