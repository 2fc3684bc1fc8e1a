"""A start finds out which topics there are: asks catalog and directories, mends, tells."""

from __future__ import annotations

from typing import NamedTuple

from tidelog.broker.catalog.catalog import Catalog
from tidelog.broker.catalog.mending import Said, mend, report
from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.local.log_store import LogStore
from tidelog.broker.local.topic_directories import find_topics

_GIVEN_IDS_MAX = 1 << 53
"""Beyond what brokers give, in any century: such producer ids are the clients' own."""


class Settled(NamedTuple):
    """The topics there are, those to finish deleting, and what people should know of it."""

    rows: list[TopicRow]
    deleting: list[TopicRow]
    findings: list[str]


async def settle_topics(catalog: Catalog, store: LogStore, now_ms: int) -> Settled:
    """Raises CatalogUnreadable, DirectoryUnreadable."""
    disk, path = store.directory.disk, store.directory.path
    found = await store.in_thread(lambda: find_topics(disk, path))
    loaded, known = catalog.loaded, catalog.known
    rows, doubtful = ([], frozenset()) if loaded is None else (loaded.topics, loaded.doubtful)
    mended = mend(Said(rows, doubtful, catalog.standing), found)
    is_new = loaded is None and not (catalog.kept_as or catalog.copy or found.topics)
    next_producer_id = known.next_producer_id
    if next_producer_id is None:
        next_producer_id = 0 if is_new else _beyond_all_given(now_ms)
    await catalog.settle([*mended.rows, *mended.deleting], next_producer_id)
    groups = None if catalog.copy is None else len(known.groups)
    line = report(mended, "" if is_new else _lost(catalog), groups)
    return Settled(mended.rows, mended.deleting, [line] if line else [])


def _lost(catalog: Catalog) -> str:
    if catalog.loaded is not None:
        older = f"{catalog.path} is older than the directory that it lies in"
        return older if catalog.standing == "behind" else ""
    lost = f"{catalog.path} {catalog.loss}"
    if catalog.kept_as is None:
        return lost
    if catalog.loss == "is missing":
        return f"{lost}, its write-ahead log is kept as {catalog.kept_as}-wal"
    return f"{lost} and is kept as {catalog.kept_as}"


async def check_producer_ids(catalog: Catalog, store: LogStore, now_ms: int) -> list[str]:
    """Go beyond the producer ids in use, should what knows of them be older than the logs."""
    seen = [log.producers.largest_id(_GIVEN_IDS_MAX) for log in store.logs.values()]
    largest = max(seen, default=-1)
    if largest < await catalog.next_producer_id():
        return []
    following = max(largest + 1, _beyond_all_given(now_ms))
    await catalog.skip_producer_ids(following)
    return [f"producer ids go on at {following}: the logs know larger ones than the catalog"]


def _beyond_all_given(now_ms: int) -> int:
    """No broker can have given as many ids as microseconds have gone by."""
    return now_ms * 1000
