"""The catalog: topics, their ids, partitions and settings, and settings of groups, in SQLite.

Every change is durable when its call returns (write-ahead log, full sync), and folded into the
file, so that a copy of that alone is whole. One thread owns the connection, so the event loop
never waits in it. The SQL is what PostgreSQL understands too.

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

from crc32c import crc32c

from tidelog.broker.catalog.catalog_copy import (
    BrokerChanges,
    CatalogCopy,
    Standing,
    decode_broker,
    decode_copy,
    encode_broker,
    encode_copy,
    settle,
    standing,
)
from tidelog.broker.catalog.catalog_database import NoCatalog, open_database, unusable
from tidelog.broker.catalog.topic_row import TopicRow, decode_settings, encode_settings
from tidelog.broker.environment import Environment
from tidelog.broker.errors import CatalogUnreadable
from tidelog.storage.errors import StorageError
from tidelog.storage.files import join
from tidelog.storage.local import file_names

T = TypeVar("T")

SCHEMA_VERSION = 1
PRODUCER_ID_BLOCK = 1000

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS topics ("
    " topic_id TEXT PRIMARY KEY, name TEXT NOT NULL, partitions INTEGER NOT NULL,"
    " settings TEXT NOT NULL, deleting INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS group_settings (name TEXT PRIMARY KEY, settings TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS producer_ids (next_id BIGINT NOT NULL)",
)
_PUT_META = (
    "INSERT INTO meta (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_PUT_TOPIC = (
    "INSERT INTO topics (topic_id, name, partitions, settings, deleting) VALUES (?, ?, ?, ?, ?)"
)
_log = logging.getLogger("tidelog.catalog")

Statement = tuple[str, tuple[object, ...]]


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
        """Raises NoCatalog, sqlite3.Error, CatalogUnreadable."""
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            return None
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        if "schema" not in meta:
            raise NoCatalog("its schema has no version")
        if meta["schema"] != str(SCHEMA_VERSION):
            reason = f"its schema is version {meta['schema']}, this broker knows {SCHEMA_VERSION}"
            raise CatalogUnreadable(self.path, reason)
        topics = connection.execute(
            "SELECT name, topic_id, partitions, settings, deleting FROM topics ORDER BY name"
        ).fetchall()
        groups = connection.execute("SELECT name, settings FROM group_settings").fetchall()
        ids = connection.execute("SELECT next_id FROM producer_ids").fetchall()
        try:
            rows = [
                TopicRow(
                    name,
                    uuid.UUID(topic_id),
                    int(partitions),
                    decode_settings(settings),
                    deleting != 0,
                )
                for name, topic_id, partitions, settings, deleting in topics
            ]
            doubtful = frozenset(
                row.id
                for row, (*_, deleting) in zip(rows, topics, strict=True)
                if row.deleting and deleting != _mark(row.id)
            )
            own = CatalogCopy(
                int(meta["changes"]) if "changes" in meta else None,
                int(ids[0][0]) if ids else 0,
                {str(name): decode_settings(settings) for name, settings in groups},
                decode_broker(meta.get("broker", "{}")),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise NoCatalog(str(error)) from error
        return Loaded(rows, doubtful, own)

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

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        assert self._connection is not None, "the catalog is open"
        try:
            return self._connection.execute(sql, values).fetchall()
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
        self._change(*statements, (_PUT_META, ("changes", str(self._changes + 1))))
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
        topics, own = ([], None) if self.loaded is None else (self.loaded.topics, self.loaded.own)
        if own is None:
            changes += [(statement, ()) for statement in _SCHEMA]
            changes.append((_PUT_META, ("schema", str(SCHEMA_VERSION))))
        if sorted(topics) != sorted(rows) or (self.loaded and self.loaded.doubtful):
            changes.append(("DELETE FROM topics", ()))
            changes += [_put_topic(row) for row in rows]
        if own is None or own.groups != self.known.groups:
            changes.append(("DELETE FROM group_settings", ()))
            changes += [_put_group(name, own) for name, own in self.known.groups.items()]
        if own is None or own.broker != self.known.broker:
            changes.append(_put_broker(self.known.broker))
        if own is None or own.next_producer_id != next_producer_id:
            changes += _put_producer_ids(next_producer_id)
        if changes or own is None or own.changes is None:
            self._change_counted(*changes)
        elif self.copy != own:
            self._write_copy()

    async def next_producer_id(self) -> int:
        """The first that is in no block yet."""
        return await self._run(self._next_producer_id)

    async def skip_producer_ids(self, next_producer_id: int) -> None:
        """Go on from there."""
        await self._run(lambda: self._change_counted(*_put_producer_ids(next_producer_id)))

    async def create_topic(self, row: TopicRow) -> None:
        """Remember a topic whose logs exist."""
        await self._run(lambda: self._change(_put_topic(row)))

    async def mark_deleting(self, topic_id: uuid.UUID) -> None:
        """From here on the topic is gone, whatever happens to its files."""
        sql = "UPDATE topics SET deleting = ? WHERE topic_id = ?"
        await self._run(lambda: self._change((sql, (_mark(topic_id), str(topic_id)))))

    async def forget_topic(self, topic_id: uuid.UUID) -> None:
        """The topic's files are out of the way: drop its row."""
        sql = "DELETE FROM topics WHERE topic_id = ?"
        await self._run(lambda: self._change_counted((sql, (str(topic_id),))))

    async def change_topic(self, row: TopicRow) -> None:
        """Replace a topic's partition count and overrides."""
        sql = "UPDATE topics SET partitions = ?, settings = ? WHERE topic_id = ?"
        values = row.partitions, encode_settings(row.settings), str(row.id)
        await self._run(lambda: self._change((sql, values)))

    # Groups

    async def group_settings(self) -> dict[str, dict[str, str]]:
        """The overrides of every group that has some."""
        return await self._run(self._groups)

    def _groups(self) -> dict[str, dict[str, str]]:
        rows = self._query("SELECT name, settings FROM group_settings")
        return {str(name): decode_settings(str(settings)) for name, settings in rows}

    async def set_group_settings(self, name: str, settings: dict[str, str]) -> None:
        """Replace a group's overrides."""
        statement = _put_group(name, settings)
        if not settings:
            statement = "DELETE FROM group_settings WHERE name = ?", (name,)
        await self._run(lambda: self._change_counted(statement))

    # The broker

    async def set_broker_settings(self, changes: BrokerChanges) -> None:
        """Replace what was set of the broker while it ran; ``known`` has it."""
        await self._run(lambda: self._set_broker_settings(changes))

    def _set_broker_settings(self, changes: BrokerChanges) -> None:
        before = self.known
        self.known = before._replace(broker=changes)
        try:
            self._change_counted(_put_broker(changes))
        except BaseException:
            self.known = before
            raise

    async def next_producer_id_block(self) -> range:
        """Producer ids nobody was given before; durable before they are returned."""
        return await self._run(self._take_producer_ids)

    def _take_producer_ids(self) -> range:
        first = self._next_producer_id()
        following = first + PRODUCER_ID_BLOCK
        self._change_counted(*_put_producer_ids(following))
        return range(first, following)

    def _next_producer_id(self) -> int:
        rows = self._query("SELECT next_id FROM producer_ids")
        return int(str(rows[0][0])) if rows else 0

    async def close(self) -> None:
        """No other call may follow."""
        await self._run(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._connection is not None:
            self._database.fold(self.path, self._connection)
            self._connection.close()


def _mark(topic_id: uuid.UUID) -> int:
    """Of a topic that is deleted: not what one flipped byte makes of any other value."""
    return (1 << 32) + crc32c(topic_id.bytes)


def _put_topic(row: TopicRow) -> Statement:
    mark = _mark(row.id) if row.deleting else 0
    settings = encode_settings(row.settings)
    return _PUT_TOPIC, (str(row.id), row.name, row.partitions, settings, mark)


def _put_group(name: str, settings: dict[str, str]) -> Statement:
    sql = (
        "INSERT INTO group_settings (name, settings) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET settings = excluded.settings"
    )
    return sql, (name, encode_settings(settings))


def _put_broker(changes: BrokerChanges) -> Statement:
    return _PUT_META, ("broker", encode_broker(changes))


def _put_producer_ids(next_id: int) -> list[Statement]:
    return [
        ("DELETE FROM producer_ids", ()),
        ("INSERT INTO producer_ids (next_id) VALUES (?)", (next_id,)),
    ]
