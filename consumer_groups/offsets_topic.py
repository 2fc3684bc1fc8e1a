"""The internal topic ``__consumer_offsets``: what groups are and have committed, by group."""

from __future__ import annotations

from collections.abc import Callable

from tidelog.broker.broker import Broker
from tidelog.broker.state_topic import StateKind, StateTopic
from tidelog.consumer_groups.errors import CoordinatorUnavailable
from tidelog.consumer_groups.records.group_records import StateRecord, decode, encode
from tidelog.consumer_groups.settings import GroupSettings

OFFSETS_TOPIC = "__consumer_offsets"


def offsets_topic(
    broker: Broker, settings: GroupSettings, apply: Callable[[StateRecord], None]
) -> StateTopic[StateRecord]:
    """Callers are told of a topic that fails by CoordinatorUnavailable."""
    kind: StateKind[StateRecord] = StateKind(
        topic=OFFSETS_TOPIC,
        partitions=settings.offsets_partitions,
        segment_bytes=settings.offsets_segment_bytes,
        encode=encode,
        decode=decode,
        unavailable=CoordinatorUnavailable,
    )
    return StateTopic(broker, kind, apply)
