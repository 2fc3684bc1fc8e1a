"""A topic: a name and an id for some partitions with common settings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tidelog.broker.errors import UnknownPartition
from tidelog.broker.partition import Partition
from tidelog.broker.topic_name import INTERNAL_TOPICS
from tidelog.broker.topic_settings import TopicSettings


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

    def partition(self, index: int) -> Partition:
        """Raises UnknownPartition."""
        if not 0 <= index < len(self.partitions):
            raise UnknownPartition(self.name, index, len(self.partitions))
        return self.partitions[index]

    def use_settings(self, settings: TopicSettings) -> None:
        """Take changed settings; partitions follow at once."""
        self.settings = settings
        log_settings = settings.log_settings()
        for partition in self.partitions:
            partition.use_settings(log_settings)
