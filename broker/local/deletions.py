"""What is left to do for topics that are gone: their directories, and their rows in the catalog.

The catalog's mark decides that a topic is gone. What the disk refuses then is kept in mind: it is
done before the name is used again, or by the next start.
"""

from __future__ import annotations

import logging

from tidelog.broker.catalog.catalog import Catalog
from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.errors import BrokerError
from tidelog.broker.local.log_store import LogStore
from tidelog.storage.errors import DiskFailed, StorageError
from tidelog.storage.files import join

_log = logging.getLogger("tidelog.topics")


class Deletions:
    """Of one broker; nothing else may create or delete topics meanwhile."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._unfinished: dict[str, TopicRow] = {}

    async def finish(self, row: TopicRow, catalog: Catalog) -> list[str]:
        """Take a topic's directories away and forget it; the paths to remove later."""
        self._unfinished[row.name] = row
        store = self._store
        store.forget(row.name)
        paths: list[str] = []
        try:
            retired = await store.in_thread(lambda: store.retire(row.name, range(row.partitions)))
            paths, problems = retired
            if not problems:
                await store.save_checkpoints()
                await catalog.forget_topic(row.id)
                del self._unfinished[row.name]
        except (StorageError, BrokerError, OSError) as error:
            problems = [str(error)]
        for problem in problems:
            _log.error("topic %s is deleted, but not all it had: %s", row.name, problem)
        return paths

    async def make_way(self, name: str, catalog: Catalog) -> None:
        """Finish what is left of an earlier topic of this name. Raises DiskFailed."""
        row = self._unfinished.get(name)
        if row is None:
            return
        self._store.remove_later(await self.finish(row, catalog), 0)
        if name in self._unfinished:
            path = join(self._store.directory.path, name)
            raise DiskFailed(path, "what an earlier topic of this name had cannot be taken away")
