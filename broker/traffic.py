"""How much topics take in and give out a second, over the last minute.

Partitions count what they append and hand out; here those counters are read now and then, so that
traffic itself pays nothing. A broker that is younger than a minute is averaged over its life.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from tidelog.broker.topic import Topic

if TYPE_CHECKING:
    from tidelog.broker.broker import Broker

_SAMPLES_PER_MINUTE = 6
_EVERY_S = 60 / _SAMPLES_PER_MINUTE
_SHORTEST_MS = 1_000
"""A broker that has just started would tell of rates that nobody has seen."""


class Rates(NamedTuple):
    """Each a second."""

    appended_bytes: float
    appended_records: float
    fetched_bytes: float


class _Counters(NamedTuple):
    appended_bytes: int
    appended_records: int
    fetched_bytes: int


_NOTHING = _Counters(0, 0, 0)


class _Sample(NamedTuple):
    at_ms: int
    """Monotonic."""
    topics: dict[UUID, _Counters]
    """Without those that have seen nothing yet."""


class Traffic:
    """``sample`` every ten seconds, ``rates`` whenever somebody asks."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._samples = deque([_Sample(broker.started_ms, {})], maxlen=_SAMPLES_PER_MINUTE + 1)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            self.sample(self._broker.topics(), self._broker.clock.monotonic_ms())

    def sample(self, topics: Iterable[Topic], now_ms: int) -> None:
        counted = ((topic.id, _counters(topic)) for topic in topics)
        seen = {topic_id: counters for topic_id, counters in counted if any(counters)}
        self._samples.append(_Sample(now_ms, seen))

    def rates(self, topic: Topic) -> Rates:
        oldest = self._samples[0]
        before = oldest.topics.get(topic.id, _NOTHING)
        passed_ms = max(self._broker.clock.monotonic_ms() - oldest.at_ms, _SHORTEST_MS)
        return Rates(
            *(
                round((now - then) * 1000 / passed_ms, 3)
                for now, then in zip(_counters(topic), before, strict=True)
            )
        )


def _counters(topic: Topic) -> _Counters:
    partitions = topic.partitions
    return _Counters(
        sum(partition.appended_bytes for partition in partitions),
        sum(partition.appended_records for partition in partitions),
        sum(partition.fetched_bytes for partition in partitions),
    )
