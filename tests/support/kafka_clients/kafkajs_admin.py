"""kafkajs' admin client."""

from __future__ import annotations

from typing import Any

from tests.support.kafka_clients.kafkajs import KafkajsClient

_TOPIC = 2


class KafkajsAdmin:
    def __init__(self, bootstrap: str) -> None:
        self._client = KafkajsClient(bootstrap)

    def _call(self, call: str, **argument: Any) -> Any:
        return self._client.call("admin", call=call, argument=argument)

    def create_topic(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        entries = [{"name": key, "value": value} for key, value in configs.items()]
        topic = {"topic": name, "numPartitions": partitions, "configEntries": entries}
        created = self._call("createTopics", topics=[topic])
        assert created, f"{name} already exists"

    def delete_topic(self, name: str) -> None:
        self._call("deleteTopics", topics=[name])

    def topics(self) -> set[str]:
        return set(self._call("listTopics"))

    def add_partitions(self, name: str, count: int) -> None:
        self._call("createPartitions", topicPartitions=[{"topic": name, "count": count}])

    def partitions(self, name: str) -> int:
        shown = self._call("fetchTopicMetadata", topics=[name])
        return len(shown["topics"][0]["partitions"])

    def configs(self, name: str) -> dict[str, str]:
        resource = {"type": _TOPIC, "name": name}
        shown = self._call("describeConfigs", includeSynonyms=False, resources=[resource])
        entries = shown["resources"][0]["configEntries"]
        return {entry["configName"]: entry["configValue"] for entry in entries}

    def alter_config(self, topic: str, name: str, value: str) -> None:
        """It has no incremental form: all other settings of the topic are reset."""
        entry = {"name": name, "value": value}
        resource = {"type": _TOPIC, "name": topic, "configEntries": [entry]}
        self._call("alterConfigs", validateOnly=False, resources=[resource])

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Version 2.2.4 fails with BrokerNotFound before it asks, with Apache Kafka too."""
        place = {"partition": partition, "offset": str(before)}
        self._call("deleteTopicRecords", topic=topic, partitions=[place])

    def groups(self) -> set[str]:
        return {one["groupId"] for one in self._call("listGroups")["groups"]}

    def group(self, group: str) -> tuple[str, int]:
        (shown,) = self._client.call("admin", call="describeGroups", argument=[group])["groups"]
        return shown["state"].lower(), len(shown["members"])

    def delete_group(self, group: str) -> None:
        self._client.call("admin", call="deleteGroups", argument=[group])

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        (shown,) = self._call("fetchOffsets", groupId=group, topics=[topic])
        offsets = {one["partition"]: int(one["offset"]) for one in shown["partitions"]}
        return {partition: offset for partition, offset in offsets.items() if offset >= 0}

    def set_offset(self, group: str, topic: str, partition: int, offset: int) -> None:
        place = {"partition": partition, "offset": str(offset)}
        self._call("setOffsets", groupId=group, topic=topic, partitions=[place])

    def brokers(self) -> list[str]:
        return [f"{one['host']}:{one['port']}" for one in self._call("describeCluster")["brokers"]]

    def close(self) -> None:
        self._client.close()
