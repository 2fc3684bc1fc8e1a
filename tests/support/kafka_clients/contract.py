"""What the tests ask of every Kafka client, so that one test can be run with each of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

PATIENCE_S = 60.0
"""How long an answer may take on a busy machine before a test gives up."""


class Message(NamedTuple):
    """A record as clients send and show it; what a client leaves to the broker is None."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class ProducerOptions:
    """Whatever is not asked for is the client's default.

    ``java_partitioner``: keys go where the Java client puts them. kafka-python, aiokafka and
    kafkajs do so anyway; librdkafka's default is CRC32 and has to be told.
    """

    codec: str = "none"
    idempotent: bool = False
    java_partitioner: bool = False


DEFAULTS = ProducerOptions()


class ConsumerSession(Protocol):
    """A member of a group that reads one topic from the beginning, and commits when told to."""

    def read(self, count: int) -> list[Message]:
        """The next ``count`` messages. Raises AssertionError if they do not come."""

    def commit(self) -> None:
        """Commit what has been read."""

    def seek(self, partition: int, offset: int) -> None: ...

    def pause(self, partition: int) -> None: ...

    def resume(self, partition: int) -> None: ...

    def offset_for_time(self, partition: int, timestamp_ms: int) -> int | None:
        """Of the first record that is as new, None where there is none."""


class KafkaClient(Protocol):
    """A client library or program, bound to one broker."""

    name: str
    codecs: tuple[str, ...]
    """The codecs it has beside none."""

    def produce(
        self,
        topic: str,
        messages: Sequence[Message],
        options: ProducerOptions = DEFAULTS,
    ) -> None:
        """Send all with one producer and wait until each is acknowledged; raises if one is not."""

    def consume(self, topic: str, count: int) -> list[Message]:
        """The first ``count`` messages of all partitions, without a group."""

    def session(self, topic: str, group: str) -> AbstractContextManager[ConsumerSession]: ...

    def close(self) -> None: ...


class KafkaAdmin(Protocol):
    """The administrative calls of a client library. All raise where the broker refuses."""

    def create_topic(self, name: str, partitions: int, configs: dict[str, str]) -> None: ...

    def delete_topic(self, name: str) -> None: ...

    def topics(self) -> set[str]: ...

    def add_partitions(self, name: str, count: int) -> None:
        """Raise the number of partitions to ``count``."""

    def partitions(self, name: str) -> int: ...

    def configs(self, name: str) -> dict[str, str]:
        """All settings of a topic."""

    def alter_config(self, topic: str, name: str, value: str) -> None: ...

    def delete_records(self, topic: str, partition: int, before: int) -> None: ...

    def groups(self) -> set[str]: ...

    def group(self, group: str) -> tuple[str, int]:
        """Its state in lower case, and how many members it has."""

    def delete_group(self, group: str) -> None: ...

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        """Committed offsets by partition."""

    def set_offset(self, group: str, topic: str, partition: int, offset: int) -> None: ...

    def brokers(self) -> list[str]:
        """``host:port`` of each."""

    def close(self) -> None: ...
