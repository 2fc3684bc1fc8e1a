"""What the log tells of topics: made, changed, deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tidelog.broker.topic import Topic

_log = logging.getLogger("tidelog.topics")


def tell_made(topic: Topic) -> None:
    settings = "" if topic.internal else _listed(topic.settings.overrides)
    _log.info(
        "topic %s is made: %s%s",
        *(topic.name, _partitions(topic), f", {settings}" if settings else ""),
        extra={"topic": topic.name},
    )


def tell_grown(topic: Topic, before: int) -> None:
    told = topic.name, _partitions(topic), before
    _log.info("topic %s has %s, it had %d", *told, extra={"topic": topic.name})


def tell_altered(topic: Topic, changes: Mapping[str, str | None]) -> None:
    """None resets a setting."""
    given = {name: text for name, text in changes.items() if text is not None}
    present = topic.settings.describe()
    reset = {one.name: one.value for one in present if changes.get(one.name, "") is None}
    parts = [_listed(given), f"reset {_listed(reset)}" if reset else ""]
    told = ", ".join(part for part in parts if part)
    if told:
        _log.info("topic %s: %s", topic.name, told, extra={"topic": topic.name})


def tell_deleted(topic: Topic) -> None:
    told = topic.name, _partitions(topic), sum(one.size_bytes for one in topic.partitions)
    _log.info("topic %s is deleted: %s, %d bytes", *told, extra={"topic": topic.name})


def _partitions(topic: Topic) -> str:
    count = len(topic.partitions)
    return "1 partition" if count == 1 else f"{count} partitions"


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(settings.items()))
