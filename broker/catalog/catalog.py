"""The catalog: topics, their ids, partitions and settings, settings of groups and of the broker.

It is kept in SQLite; what it has of each of them stands in the file of that name, beside this one.

Every change is durable when its call returns (write-ahead log, full sync), and folded into the
file, so that a copy of that alone is whole. One thread owns the connection, so the event loop
never waits in it.

A catalog that is lost loses nothing: topics stand beside their logs (``topic_row.py``), the rest
in a copy (``catalog_copy.py``), which also tells an older catalog from the last.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import uuid
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tidelog.broker.catalog import (
    broker_settings,
    group_settings,
    meta,
    migrations,
    producer_ids,
    topics,
)
from tidelog.broker.catalog.catalog_copy import (
    BrokerChanges,
    CatalogCopy,
    Standing,
    decode_copy,
    encode_copy,
    settle,
    standing,
)
from tidelog.broker.catalog.catalog_database import NoCatalog, Statement, open_database, unusable
from tidelog.broker.catalog.migrations import SCHEMA_VERSION
from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.environment import Environment
from tidelog.broker.errors import CatalogUnreadable
from tidelog.storage.errors import StorageError
from tidelog.storage.files import join
from tidelog.storage.local import file_names

T = TypeVar("T")

_log = logging.getLogger("tidelog.catalog")


class Loaded(NamedTuple):
    """What the catalog says; ``doubtful`` topics are marked as deleted as older versions did."""

    topics: list[TopicRow]
    doubtful: frozenset[uuid.UUID]
    own: CatalogCopy


class Catalog:
    """Opened with ``open``, usable after ``settle``; each call runs in the catalog's own thread.

    ``loaded`` is what it said when it was opened, None where it was lost: ``loss`` says how and
    ``kept_as`` where the damaged file is. ``known`` is what counts of what no directory tells.
    """

    def __init__(self, directory: str, environment: Environment) -> None:
        self.path = join(directory, file_names.CATALOG)
        self.loaded: Loaded | None = None
        self.loss = ""
        self.kept_as: str | None = None
        self.copy: CatalogCopy | None = None
        self.known = CatalogCopy(None, None, {}, {})
        self.standing: Standing = "lost"
        self._copy_path = join(directory, file_names.CATALOG_COPY)
        self._disk = environment.disk
        self._database = environment.database
        self._thread = environment.workers("catalog", 1)
        self._connection: sqlite3.Connection | None = None
        self._changes = 0

    @classmethod
    async def open(cls, directory: str, environment: Environment) -> Catalog:
        """Of a data directory. Raises CatalogUnreadable, OSError."""
        catalog = cls(directory, environment)
        try:
            await catalog._run(catalog._open)
        except BaseException:
            await catalog.close()
            raise
        return catalog

    def _open(self) -> None:
        opened = open_database(self._database, self.path, self._disk, self._load)
        self._connection, self.loaded = opened.connection, opened.content
        self.loss, self.kept_as = opened.loss, opened.kept_as
        self.copy = self._read_copy()
        own = opened.content and opened.content.own
        self.standing = standing(own, self.copy)
        self.known = settle(own, self.copy)
        self._changes = self.known.changes or 0

    def _load(self, connection: sqlite3.Connection) -> Loaded | None:
        """Raises NoCatalog, sqlite3.Error, CatalogUnreadable, and storage errors of an upgrade."""
        version = migrations.found_version(connection)
        if version is None:
            return None
        if version == str(SCHEMA_VERSION):
            return _read(connection)
        if not migrations.is_older(version):
            reason = f"its schema is version {version}, this broker knows {SCHEMA_VERSION}"
            raise CatalogUnreadable(self.path, reason)
        return self._upgrade(connection, version)

    def _upgrade(self, connection: sqlite3.Connection, version: str) -> Loaded:
        """Keep a copy of the older catalog, then make it one of this version, or leave it."""
        kept = f"{self.path}.before-{SCHEMA_VERSION}"
        self._disk.write_atomically(kept, connection.serialize())
        connection.execute("BEGIN IMMEDIATE")
        try:
            try:
                migrations.upgrade(connection, version)
            except (ValueError, TypeError, AttributeError) as error:
                raise NoCatalog(str(error)) from error
            loaded = _read(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        self._database.fold(self.path, connection)
        _log.info("%s has schema %d now; as it was, it is %s", self.path, SCHEMA_VERSION, kept)
        return loaded

    def _read_copy(self) -> CatalogCopy | None:
        if not self._disk.exists(self._copy_path):
            return None
        try:
            return decode_copy(self._disk.read_bytes(self._copy_path))
        except ValueError as error:
            _log.warning("%s is passed over: %s", self._copy_path, error)
            return None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _query(self, load: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None, "the catalog is open"
        try:
            return load(self._connection)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def _change(self, *statements: Statement) -> None:
        """All of them or none, folded into the file."""
        assert self._connection is not None, "the catalog is open"
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for sql, values in statements:
                    self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error
        self._database.fold(self.path, self._connection)

    def _change_counted(self, *statements: Statement) -> None:
        """As ``_change``, for what the copy holds or what makes it out of date."""
        self._change(*statements, meta.put("changes", str(self._changes + 1)))
        self._changes += 1
        self._write_copy()

    def _write_copy(self) -> None:
        known = self.known
        copy = CatalogCopy(self._changes, self._next_producer_id(), self._groups(), known.broker)
        try:
            self._disk.write_atomically(self._copy_path, encode_copy(copy))
        except (StorageError, OSError) as error:
            _log.error("the catalog has changed, its copy has not: %s", error)

    # Topics

    async def settle(self, rows: list[TopicRow], next_producer_id: int) -> None:
        """Make ``rows`` all the topics there are, and producer ids go on from there."""
        await self._run(lambda: self._settle(rows, next_producer_id))

    def _settle(self, rows: list[TopicRow], next_producer_id: int) -> None:
        changes: list[Statement] = []
        said, own = ([], None) if self.loaded is None else (self.loaded.topics, self.loaded.own)
        if own is None:
            changes += migrations.create()
        if sorted(said) != sorted(rows) or (self.loaded and self.loaded.doubtful):
            changes += topics.replace_all(rows)
        if own is None or own.groups != self.known.groups:
            changes += group_settings.replace_all(self.known.groups)
        if own is None or own.broker != self.known.broker:
            changes += broker_settings.replace_all(self.known.broker)
        if own is None or own.next_producer_id != next_producer_id:
            changes += producer_ids.put(next_producer_id)
        if changes or own is None or own.changes is None:
            self._change_counted(*changes)
        elif self.copy != own:
            self._write_copy()

    async def next_producer_id(self) -> int:
        """The first that is in no block yet."""
        return await self._run(self._next_producer_id)

    async def skip_producer_ids(self, next_producer_id: int) -> None:
        """Go on from there."""
        await self._run(lambda: self._change_counted(*producer_ids.put(next_producer_id)))

    async def create_topic(self, row: TopicRow) -> None:
        """Remember a topic whose logs exist."""
        await self._run(lambda: self._change(topics.put(row)))

    async def mark_deleting(self, topic_id: uuid.UUID) -> None:
        """From here on the topic is gone, whatever happens to its files."""
        await self._run(lambda: self._change(topics.mark_deleting(topic_id)))

    async def forget_topic(self, topic_id: uuid.UUID) -> None:
        """The topic's files are out of the way: drop its row."""
        await self._run(lambda: self._change_counted(topics.forget(topic_id)))

    async def change_topic(self, row: TopicRow) -> None:
        """Replace a topic's partition count and overrides."""
        await self._run(lambda: self._change(topics.change(row)))

    # Groups

    async def group_settings(self) -> dict[str, dict[str, str]]:
        """The overrides of every group that has some."""
        return await self._run(self._groups)

    def _groups(self) -> dict[str, dict[str, str]]:
        return self._query(group_settings.load)

    async def set_group_settings(self, name: str, settings: dict[str, str]) -> None:
        """Replace a group's overrides."""
        await self._run(lambda: self._change_counted(group_settings.put(name, settings)))

    # The broker

    async def set_broker_settings(self, changes: BrokerChanges) -> None:
        """Replace what was set of the broker while it ran; ``known`` has it."""
        await self._run(lambda: self._set_broker_settings(changes))

    def _set_broker_settings(self, changes: BrokerChanges) -> None:
        before = self.known
        changes = {scope: settings for scope, settings in changes.items() if settings}
        self.known = before._replace(broker=changes)
        try:
            self._change_counted(*broker_settings.replace_all(changes))
        except BaseException:
            self.known = before
            raise

    async def next_producer_id_block(self) -> range:
        """Producer ids nobody was given before; durable before they are returned."""
        return await self._run(self._take_producer_ids)

    def _take_producer_ids(self) -> range:
        first = self._next_producer_id()
        following = first + producer_ids.BLOCK
        self._change_counted(*producer_ids.put(following))
        return range(first, following)

    def _next_producer_id(self) -> int:
        return self._query(producer_ids.load)

    async def close(self) -> None:
        """No other call may follow."""
        await self._run(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._connection is not None:
            self._database.fold(self.path, self._connection)
            self._connection.close()


def _read(connection: sqlite3.Connection) -> Loaded:
    """What a catalog of this version says. Raises NoCatalog, sqlite3.Error."""
    said = meta.load(connection)
    try:
        own = CatalogCopy(
            int(said["changes"]) if "changes" in said else None,
            producer_ids.load(connection),
            group_settings.load(connection),
            broker_settings.load(connection),
        )
        return Loaded(*topics.load(connection), own)
    except (ValueError, TypeError, AttributeError) as error:
        raise NoCatalog(str(error)) from error
