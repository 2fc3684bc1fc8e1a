"""A topic: a name and an id for some partitions with common settings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tidelog.broker.errors import PartitionOffline, UnknownPartition
from tidelog.broker.partition import Partition
from tidelog.broker.settings.topic_settings import TopicSettings
from tidelog.broker.topic_name import INTERNAL_TOPICS


@dataclass(slots=True)
class Topic:
    """Partitions are numbered from 0; ``internal`` topics belong to the broker."""

    name: str
    id: uuid.UUID
    settings: TopicSettings
    partitions: list[Partition]

    @property
    def internal(self) -> bool:
        return self.name in INTERNAL_TOPICS

    def check_index(self, index: int) -> None:
        """Raises UnknownPartition."""
        if not 0 <= index < len(self.partitions):
            raise UnknownPartition(self.name, index, len(self.partitions))

    def partition(self, index: int) -> Partition:
        """One that can be read. Raises UnknownPartition, PartitionOffline."""
        self.check_index(index)
        partition = self.partitions[index]
        if partition.offline is not None:
            raise PartitionOffline(self.name, index, partition.offline)
        return partition

    def all_online(self) -> list[Partition]:
        """Every partition, for who needs them all. Raises PartitionOffline."""
        return [self.partition(index) for index in range(len(self.partitions))]

    def use_settings(self, settings: TopicSettings) -> None:
        """Take changed settings; partitions follow at once."""
        self.settings = settings
        log_settings = settings.log_settings()
        for partition in self.partitions:
            partition.use_settings(log_settings)
