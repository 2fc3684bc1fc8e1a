"""Who calls, and the gate: the only way of a door to topics, groups and the cluster.

Operations and kinds of resources are Kafka's (``AclOperation.java``, ``ResourceType.java``). What
a caller may is for ``Rules`` to say; nobody may change a topic that belongs to the broker.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import IntEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from tidelog.broker.broker import Broker
from tidelog.broker.errors import ClusterNotAuthorized, TopicNotAuthorized
from tidelog.broker.topic import Topic
from tidelog.consumer_groups.errors import GroupNotAuthorized


class Operation(IntEnum):
    """What a caller means to do."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Kind(IntEnum):
    """What it is done to."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


TOPIC, GROUP, CLUSTER = Kind
READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE = list(Operation)[:6]
DESCRIBE_CONFIGS, ALTER_CONFIGS = Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS
IDEMPOTENT_WRITE = Operation.IDEMPOTENT_WRITE
THE_CLUSTER = "kafka-cluster"
_CHANGES = frozenset({WRITE, DELETE, ALTER, ALTER_CONFIGS})
_MEANINGFUL = {
    TOPIC: (*_CHANGES, READ, CREATE, DESCRIBE, DESCRIBE_CONFIGS),
    GROUP: (READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS),
    CLUSTER: (
        *(CREATE, ALTER, DESCRIBE, Operation.CLUSTER_ACTION),
        *(DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE),
    ),
}


class Caller(NamedTuple):
    """``principal`` is in Kafka's form; nobody says yet who they are."""

    host: str
    client_id: str
    principal: str = "User:ANONYMOUS"


NOBODY = Caller("", "")
"""Who it is does not matter where everything is allowed."""
CALLER: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
"""Of the HTTP request that is being answered; set where there are rules."""


class Rules(Protocol):
    """Who may do what."""

    def allow(self, caller: Caller, operation: Operation, kind: Kind, name: str) -> bool: ...


class Access:
    """What one caller may reach."""

    __slots__ = ("_broker", "_caller", "_rules")

    def __init__(self, broker: Broker, caller: Caller, rules: Rules | None) -> None:
        """Without rules everything is allowed."""
        self._broker = broker
        self._caller = caller
        self._rules = rules

    def may(self, operation: Operation, kind: Kind, name: str = THE_CLUSTER) -> bool:
        """Whether it is allowed; says nothing of whether it is there."""
        rules = self._rules
        return rules is None or rules.allow(self._caller, operation, kind, name)

    def operations(self, kind: Kind, name: str = THE_CLUSTER) -> int:
        """What the caller may do to something, as the bits of Kafka's answers."""
        return sum(1 << one for one in _MEANINGFUL[kind] if self.may(one, kind, name))

    def topic(self, key: str | UUID, operation: Operation) -> Topic:
        """A topic by its name or id.

        Raises TopicNotAuthorized before it tells whether there is a topic of that name,
        UnknownTopic, UnknownTopicId, InternalTopic where ``operation`` would change one.
        """
        name = key if isinstance(key, str) else self._broker.topic_by_id(key).name
        self.check_topic(name, operation)
        if operation in _CHANGES:
            return self._broker.topic_to_change(name)
        return self._broker.topic(name)

    def check_topic(self, name: str, operation: Operation) -> None:
        """Of one that need not be there. Raises TopicNotAuthorized."""
        if self._rules is not None and not self.may(operation, TOPIC, name):
            raise TopicNotAuthorized(name)

    def check_create(self, name: str) -> None:
        """May make any topic, or one of this name. Raises TopicNotAuthorized."""
        if not self.may(CREATE, CLUSTER):
            self.check_topic(name, CREATE)

    def topics(self, operation: Operation) -> list[Topic]:
        """Those for which the caller may, by name."""
        topics = self._broker.topics()
        if self._rules is None:
            return topics
        return [topic for topic in topics if self.may(operation, TOPIC, topic.name)]

    def group(self, name: str, operation: Operation) -> None:
        """Raises GroupNotAuthorized."""
        if self._rules is not None and not self.may(operation, GROUP, name):
            raise GroupNotAuthorized(name)

    def cluster(self, operation: Operation) -> None:
        """Raises ClusterNotAuthorized."""
        if self._rules is not None and not self.may(operation, CLUSTER):
            raise ClusterNotAuthorized(operation.name.lower())
