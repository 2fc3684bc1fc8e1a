"""The same requests to Tidelog and to Apache Kafka, and their answers in comparable form.

Comparable: without what must differ (addresses, ids, clocks, the wording of errors, order where the
protocol has none). Ids are given as ``TopicId``, which stands for each broker's own id of a topic,
and come back as such; likewise ``MINE`` for the member id that each broker has given.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from tests.support.kafka_wire import ConnectionClosed, Message, Wire, message_class

_DROPPED = {
    "throttle_time_ms",
    "session_id",  # we open no fetch sessions, which the protocol allows
}
_WORDS = {"error_message", "batch_index_error_message"}
"""Each broker has its own words for an error; where there is none, null and empty differ."""
_ANY = {"host": "", "port": -1, "cluster_id": None, "log_append_time_ms": -1, "last_timestamp": -1}
"""Fields whose values must differ, each with the value that says that there is none."""

_ORDERED_BY = (
    *("name", "topic", "topic_name", "resource_name", "group_id", "key", "member_id"),
    *("partition_index", "partition", "index", "topic_id", "user", "entity_type", "entity"),
)
_READY_S = 120


@dataclass(frozen=True)
class TopicId:
    """The id that a broker has given to the topic."""

    topic: str


MINE = "the member id that this broker gave"
CLOSED: Message = {"connection": "closed"}
"""The answer of a broker that has closed the connection."""


class BothBrokers:
    """A connection to each."""

    def __init__(self, ours: str, theirs: str) -> None:
        self._sides = (_Side(ours), _Side(theirs))
        for side in self._sides:
            side.wait_for("find_coordinator", key="g")
            side.wait_for("init_producer_id", transactional_id=None, transaction_timeout_ms=1)

    def ask(self, api: str, version: int, **fields: Any) -> tuple[Message, Message]:
        """Our answer and theirs, comparable."""
        ours, theirs = (side.ask(api, version, fields) for side in self._sides)
        return ours, theirs

    def same(self, api: str, version: int, **fields: Any) -> Message:
        """The answer that both have given; fails where they differ."""
        ours, theirs = self.ask(api, version, **fields)
        assert ours == theirs, f"{api} version {version} of {fields}"
        return ours

    def same_soon(self, api: str, version: int, **fields: Any) -> None:
        """Apache Kafka tells of a change a moment after it has said that it is made."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            ours, theirs = self.ask(api, version, **fields)
            if ours == theirs:
                return
        self.same(api, version, **fields)

    def create_topic(self, name: str, partitions: int = 1, **configs: str) -> str:
        """A new topic on both, ready for use; settings have underscores for dots."""
        pairs = [{"name": key.replace("_", "."), "value": text} for key, text in configs.items()]
        topic = {"name": name, "num_partitions": partitions, "replication_factor": 1}
        answer = self.same(
            "create_topics", 4, topics=[{**topic, "configs": pairs}], timeout_ms=30_000
        )
        assert answer["topics"][0]["error_code"] == 0
        for side in self._sides:
            side.wait_for_leaders(name, partitions)
        return name

    def close(self) -> None:
        for side in self._sides:
            side.wire.close()


class _Side:
    """One broker."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.wire = Wire(address)
        self._names: dict[uuid.UUID, str] = {}
        self._member_id = ""

    def ask(self, api: str, version: int, fields: Message) -> Message:
        try:
            answer = self.wire.ask(api, version, **self._resolve(fields))
        except ConnectionClosed:
            self.wire.close()
            self.wire = Wire(self._address)
            return CLOSED
        if api == "join_group":
            self._member_id = answer["member_id"] or self._member_id
        comparable: Message = self._comparable(answer)
        return comparable

    def wait_for(self, api: str, **fields: Any) -> None:
        """Apache Kafka is not ready for everything at once; it says so until it is."""
        version = message_class(api, "request").valid_versions[0]
        deadline = time.monotonic() + _READY_S
        while _has_error(self.wire.ask(api, version, **fields)):
            assert time.monotonic() < deadline

    def wait_for_leaders(self, topic: str, partitions: int) -> None:
        """Apache Kafka answers for a new topic before it leads its partitions."""
        latest = [{"partition_index": index, "timestamp": -1} for index in range(partitions)]
        self.wait_for("list_offsets", replica_id=-1, topics=[{"name": topic, "partitions": latest}])

    def _resolve(self, value: Any) -> Any:
        """With this broker's ids for those that stand for them."""
        if isinstance(value, TopicId):
            answer = self.wire.ask(
                "metadata", 12, topics=[{"name": value.topic}], allow_auto_topic_creation=False
            )
            topic_id = answer["topics"][0]["topic_id"]
            self._names[topic_id] = value.topic
            return topic_id
        if isinstance(value, str) and value == MINE:
            return self._member_id
        if isinstance(value, dict):
            return {key: self._resolve(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._resolve(one) for one in value]
        return value

    def _comparable(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            dropped = _DROPPED | _WORDS if value.get("error_code", 1) else _DROPPED
            return {
                key: self._comparable(one, key) for key, one in value.items() if key not in dropped
            }
        if isinstance(value, list | tuple):
            return sorted((self._comparable(one) for one in value), key=_order)
        if name == "aborted_transactions":
            return []  # null says the same
        if name in _ANY and value != _ANY[name]:
            return f"a {name}"
        if name == "documentation" and value:
            return "a text"
        if isinstance(value, uuid.UUID):
            return TopicId(self._names[value]) if value in self._names else "an id"
        if isinstance(value, memoryview):
            return bytes(value)
        if value and value == self._member_id:
            return MINE
        return value


def _has_error(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_error, value))
    if isinstance(value, dict):
        return bool(value.get("error_code")) or any(map(_has_error, value.values()))
    return False


def _order(value: Any) -> str:
    if isinstance(value, dict):
        return repr([value.get(name) for name in _ORDERED_BY])
    return repr(value)
