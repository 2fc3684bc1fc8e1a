"""What a broker has of the world: time, disk, threads, ids, its database and who compacts.

A simulation hands in its own of each, and owns everything that happens.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from tidelog.broker.catalog.catalog_database import Sqlite
from tidelog.broker.clock import Clock
from tidelog.broker.local.compaction_process import CompactionProcess, Compactor
from tidelog.storage.files import Disk


def threads(name: str, count: int) -> Executor:
    """Up to ``count`` threads for one kind of work, begun when there is some."""
    return ThreadPoolExecutor(count, thread_name_prefix=name)


@dataclass(frozen=True, slots=True)
class Environment:
    """The world as it is."""

    clock: Clock = field(default_factory=Clock)
    disk: Disk = field(default_factory=Disk)
    workers: Callable[[str, int], Executor] = threads
    """By a name and how many there are: who does the work that waits for the disk."""
    new_id: Callable[[], uuid.UUID] = uuid.uuid4
    database: Sqlite = field(default_factory=Sqlite)
    compactor: Callable[[float], Compactor] = CompactionProcess
    """By the bytes that it may move in a second."""
