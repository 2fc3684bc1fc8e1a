"""Consumer groups, by the names of kafka_exporter; times as kafka-lag-exporter tells them.

Both call a group by another label, so each series has both: ``consumergroup`` and ``group``.
Lines per partition are told of at most ``PARTITIONS_MAX`` partitions, group after group by name,
so that the page stays bounded whatever clients commit; the sums are always complete.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tidelog.api.rest.administration.metrics.families import (
    Samples,
    gauge,
    gauges,
    reserved,
)
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.errors import UnknownGroup
from tidelog.consumer_groups.records.offsets import PartitionLag

PARTITIONS_MAX = 10_000
_AT_ONCE = 100
_GROUP = ("consumergroup", "group")


class GroupState(NamedTuple):
    """A group and how far it is behind."""

    name: str
    members: int
    lag: list[PartitionLag]


async def group_states(coordinator: Coordinator) -> list[GroupState]:
    """Every group; none while they are loading."""
    if coordinator.loading:
        return []
    states: list[GroupState] = []
    for group in coordinator.groups():
        try:
            lag = await coordinator.lag(group.group)
        except UnknownGroup:
            # It was deleted meanwhile.
            continue
        states.append(GroupState(group.group, group.members, lag))
        if len(states) % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return states


def group_families(groups: Sequence[GroupState]) -> Iterator[str]:
    members = (((group.name, group.name), group.members) for group in groups)
    yield gauges("kafka_consumergroup_members", "Members", _GROUP, members)
    by_topic = (*_GROUP, "topic")
    text = "Records behind in all partitions of a topic whose lag is known"
    lag_sums = _sums(groups, lambda line: line.lag)
    yield reserved("kafka_consumergroup_lag_sum", text, by_topic, lag_sums)
    text = "Sum of the committed offsets of a topic"
    offset_sums = _sums(groups, lambda line: line.committed)
    yield reserved("kafka_consumergroup_current_offset_sum", text, by_topic, offset_sums)
    by_partition = (*by_topic, "partition")
    shown = _bounded(groups)
    for name, text, value in _LINES:
        yield gauges(name, text, by_partition, _samples(shown, value))
    omitted = sum(len(group.lag) for group in groups) - sum(len(group.lag) for group in shown)
    name = "tidelog_consumergroup_partitions_omitted"
    yield gauge(name, "Partitions whose lag is not shown", omitted)


_LINES: tuple[tuple[str, str, Callable[[PartitionLag], float | None]], ...] = (
    ("kafka_consumergroup_current_offset", "Committed offset", lambda line: line.committed),
    ("kafka_consumergroup_lag", "Records behind", lambda line: line.lag),
    (
        "kafka_consumergroup_lag_seconds",
        "How long the next record to consume has been there",
        lambda line: line.lag_seconds,
    ),
)


def _bounded(groups: Sequence[GroupState]) -> list[GroupState]:
    """Of the first partitions only."""
    left = PARTITIONS_MAX
    shown = []
    for group in groups:
        shown.append(group._replace(lag=group.lag[:left]))
        left -= len(shown[-1].lag)
    return shown


def _samples(
    groups: Sequence[GroupState], value_of: Callable[[PartitionLag], float | None]
) -> Samples:
    for group in groups:
        for line in group.lag:
            value = value_of(line)
            if value is not None:
                yield (group.name, group.name, line.topic, str(line.partition)), value


def _sums(groups: Sequence[GroupState], value_of: Callable[[PartitionLag], int | None]) -> Samples:
    for group in groups:
        sums: defaultdict[str, int] = defaultdict(int)
        for line in group.lag:
            sums[line.topic] += value_of(line) or 0
        for topic, value in sums.items():
            yield (group.name, group.name, topic), value
