"""Which topics there are, when catalog and directories do not agree: both in, rows out.

A topic's directory is believed before the catalog: ``topic.metadata`` proves that it is whole.
Where a directory has none (an older version made it), the catalog is believed, and where that
does not know the topic either, the topic comes back with what ``partition.metadata`` and the
names of the directories tell: its id and its partitions. A topic that was deleted does not come
back: its directories are gone or renamed before a deletion is acknowledged.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from tidelog.broker.catalog.catalog_copy import Standing
from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.errors import InvalidTopicName
from tidelog.broker.topic_name import check_topic_name

NOT_TOPICS = frozenset(("__cluster_metadata",))
"""Apache Kafka's own logs that are no topics."""
_SHOWN = 20


class FoundTopic(NamedTuple):
    """The directories of one name: ``stated`` is what its ``topic.metadata`` says.

    Where there is no sound one, ``ids`` are what the partitions' ``partition.metadata`` say.
    """

    name: str
    partitions: frozenset[int]
    stated: TopicRow | None
    ids: dict[int, uuid.UUID]


class Found(NamedTuple):
    """The directories of partitions; ``removed`` are the ids of those that wait for removal."""

    topics: list[FoundTopic]
    removed: frozenset[uuid.UUID]


class Said(NamedTuple):
    """The catalog's topics; ``doubtful`` ones may be marked as deleted by mistake."""

    rows: list[TopicRow]
    doubtful: Collection[uuid.UUID]
    standing: Standing


class Mended(NamedTuple):
    """The topics there are, by name, and those whose deletion is to be finished.

    Then names of topics: those that the catalog did not know, knew wrongly, and those that came
    back without their settings; those without a directory, that an older catalog still had.
    """

    rows: list[TopicRow]
    deleting: list[TopicRow]
    returned: list[str]
    corrected: list[str]
    unsettled: list[str]
    dropped: list[str]


def mend(said: Said, found: Found) -> Mended:
    """Decide; whoever has a topic's name has its directories."""
    stated = {topic.stated.id: topic.stated for topic in found.topics if topic.stated}
    deleting = [
        row
        for row in said.rows
        if row.deleting and not (row.id in said.doubtful and row.id in stated)
    ]
    gone = found.removed | {row.id for row in deleting}
    known = {row.name: row for row in said.rows if not row.deleting}
    names = {row.id: row.name for row in (*known.values(), *stated.values())}
    live: dict[str, TopicRow] = {}
    for topic in found.topics:
        row = _row(topic, known.get(topic.name), said.standing, gone)
        if row is not None and names.setdefault(row.id, row.name) == row.name:
            live[row.name] = row
    dropped = []
    for row in known.values():
        if row.name not in live and row.id not in stated:
            if said.standing == "behind" or row.id in gone:
                dropped.append(row.name)
            else:
                live[row.name] = row
    rows = [live[name] for name in sorted(live)]
    told = {row.id for row in known.values()} | stated.keys()
    return Mended(
        rows,
        [row for row in deleting if row.name not in live],
        [row.name for row in rows if row.name not in known],
        [row.name for row in rows if known.get(row.name, row) != row],
        [row.name for row in rows if row.id not in told],
        dropped,
    )


def _row(
    topic: FoundTopic, row: TopicRow | None, standing: Standing, gone: Collection[uuid.UUID]
) -> TopicRow | None:
    """The topic that has these directories, if any has them."""
    if topic.stated is not None:
        return None if topic.stated.id in gone else topic.stated
    ids = Counter(topic_id for topic_id in topic.ids.values() if topic_id not in gone)
    likely = ids.most_common(1)[0][0] if ids else None
    if row is not None and standing == "sound":
        return row
    certain = row is not None and (row.id in ids or not ids or standing == "unnumbered")
    if row is not None and certain and row.id not in gone:
        return row._replace(partitions=max(row.partitions, *_of(topic, row.id), 1))
    if standing == "sound" or likely is None or not _is_topic(topic.name):
        return None
    return TopicRow(topic.name, likely, max(_of(topic, likely)), {})


def _of(topic: FoundTopic, topic_id: uuid.UUID) -> list[int]:
    """How many partitions each directory that belongs to the topic stands for."""
    return [partition + 1 for partition, found in topic.ids.items() if found == topic_id]


def _is_topic(name: str) -> bool:
    try:
        check_topic_name(name)
    except InvalidTopicName:
        return False
    return name not in NOT_TOPICS


def report(mended: Mended, lost: str, settings_of_groups: int | None) -> str:
    """What was rebuilt and what was not, in one line; empty if nothing was.

    ``lost`` is what had become of the catalog, empty where it was there. ``settings_of_groups``
    is of how many groups they are known, None for nobody knows.
    """
    news = []
    if lost:
        news.append(lost)
    elif mended.returned or mended.corrected or mended.dropped:
        news.append("the catalog and the directories of topics did not agree")
    else:
        return ""
    rebuilt = [_named("topics", mended.returned), _named("corrected topics", mended.corrected)]
    if lost and settings_of_groups:
        rebuilt.append(f"the settings of {settings_of_groups} groups")
    news.append("rebuilt from the directories: " + (", ".join(filter(None, rebuilt)) or "no topic"))
    missing = [_named("the settings of topics", mended.unsettled)]
    if lost and settings_of_groups is None:
        missing.append("the settings of groups, if any had some")
    if any(missing):
        news.append("not rebuilt: " + ", ".join(filter(None, missing)))
    if mended.dropped:
        news.append(_named("without a directory, and gone: topics", mended.dropped))
    return "; ".join(news)


def _named(what: str, names: list[str]) -> str:
    """The first few of them, and how many there are."""
    if not names:
        return ""
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} {shown}{more}"
