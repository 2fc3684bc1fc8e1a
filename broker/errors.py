"""What a caller can get wrong about topics, partitions and settings.

Every class carries its data as attributes; ``api/errors.py`` turns them into answers.
"""

from __future__ import annotations

import uuid


class BrokerError(Exception):
    """Base of every error raised by this package."""


class UnknownTopic(BrokerError):
    """No topic has this name."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic!r}")
        self.topic = topic


class UnknownTopicId(BrokerError):
    """No topic has this id."""

    def __init__(self, topic_id: uuid.UUID) -> None:
        super().__init__(f"there is no topic with id {topic_id}")
        self.topic_id = topic_id


class UnknownPartition(BrokerError):
    """The topic has no partition with this number."""

    def __init__(self, topic: str, partition: int, partitions: int) -> None:
        super().__init__(
            f"topic {topic!r} has no partition {partition}: they are 0 to {partitions - 1}"
        )
        self.topic = topic
        self.partition = partition
        self.partitions = partitions


class TopicNotAuthorized(BrokerError):
    """The caller may not do that to a topic of this name, whether there is one or not."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"not authorized for topic {topic!r}")
        self.topic = topic


class ClusterNotAuthorized(BrokerError):
    """The caller may not do that to the broker as a whole."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"not authorized to {operation} the cluster")
        self.operation = operation


class PartitionOffline(BrokerError):
    """The partition's log could not be opened when the broker started; the reason says why."""

    def __init__(self, topic: str, partition: int, reason: str) -> None:
        super().__init__(f"{topic}-{partition} is offline: {reason}")
        self.topic = topic
        self.partition = partition
        self.reason = reason


class TopicExists(BrokerError):
    """A topic of this name exists already."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} exists already")
        self.topic = topic


class InvalidTopicName(BrokerError):
    """The name cannot be a topic's; the reason says why."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"{topic!r} cannot be a topic name: {reason}")
        self.topic = topic
        self.reason = reason


class InternalTopic(BrokerError):
    """The broker alone writes, changes and deletes its own topics; everyone may read them."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} belongs to the broker: it can be read, not changed")
        self.topic = topic


class InvalidPartitions(BrokerError):
    """A number of partitions that a topic cannot have."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidReplicationFactor(BrokerError):
    """More replicas than there are brokers were asked for."""

    def __init__(self, replication_factor: int) -> None:
        super().__init__(
            f"replication factor {replication_factor} is refused: there is one broker, "
            "and replication.factor.strict is on"
        )
        self.replication_factor = replication_factor


class InvalidSetting(BrokerError):
    """An unknown setting, or a value it cannot take; the reason names the bound."""

    def __init__(self, name: str, value: str | None, reason: str) -> None:
        shown = name if value is None else f"{name}={value}"
        super().__init__(f"{shown}: {reason}")
        self.name = name
        self.value = value
        self.reason = reason


class StaleExpectedOffset(BrokerError):
    """The partition has grown since the caller looked; nothing was appended."""

    def __init__(self, topic: str, partition: int, expected: int, actual: int) -> None:
        super().__init__(
            f"{topic}-{partition} ends at offset {actual}, not at the expected {expected}"
        )
        self.topic = topic
        self.partition = partition
        self.expected = expected
        self.actual = actual


class DeletionNotAllowed(BrokerError):
    """Records of a topic that is only compacted cannot be deleted by offset."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} is compacted: its cleanup.policy has no delete")
        self.topic = topic


class CatalogUnreadable(BrokerError):
    """The catalog cannot be used; the reason says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"catalog {path} cannot be used: {reason}")
        self.path = path
        self.reason = reason


class ShuttingDown(BrokerError):
    """The broker is stopping and begins nothing new."""

    def __init__(self) -> None:
        super().__init__("the broker is shutting down")


class Loading(BrokerError):
    """The broker is still reading its logs; of ``total`` partitions ``opened`` are done."""

    def __init__(self, opened: int, total: int) -> None:
        super().__init__(f"the broker is recovering: {opened} of {total} partitions are done")
        self.opened = opened
        self.total = total
