"""The catalog: topics, their ids, partitions and settings, and settings of groups, in SQLite.

Every change is durable when its call returns (write-ahead log, full sync). One thread owns the
connection, so the event loop never waits in it. The SQL is what PostgreSQL understands too.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from tidelog.broker.errors import CatalogUnreadable

T = TypeVar("T")

SCHEMA_VERSION = 1
PRODUCER_ID_BLOCK = 1000

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS topics ("
    " topic_id TEXT PRIMARY KEY, name TEXT NOT NULL, partitions INTEGER NOT NULL,"
    " settings TEXT NOT NULL, deleting INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS broker_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS group_settings (name TEXT PRIMARY KEY, settings TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS producer_ids (next_id BIGINT NOT NULL)",
)


class TopicRow(NamedTuple):
    """A topic as the catalog keeps it; ``settings`` are the overrides only."""

    name: str
    id: uuid.UUID
    partitions: int
    settings: dict[str, str]
    deleting: bool


class Catalog:
    """Opened with ``open``; each call runs in the catalog's own thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalog")
        self._connection: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: str) -> Catalog:
        """Raises CatalogUnreadable."""
        catalog = cls(path)
        try:
            await catalog._run(catalog._connect)
        except BaseException:
            catalog._thread.shutdown(wait=True)
            raise
        return catalog

    def _connect(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection = connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            with connection:
                connection.execute("BEGIN")
                for statement in _SCHEMA:
                    connection.execute(statement)
                row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
                if row is None:
                    connection.execute(
                        "INSERT INTO meta (name, value) VALUES ('schema', ?)",
                        (str(SCHEMA_VERSION),),
                    )
        except sqlite3.Error as error:
            raise CatalogUnreadable(self._path, str(error)) from error
        if row is not None and row[0] != str(SCHEMA_VERSION):
            reason = f"its schema is version {row[0]}, this broker knows {SCHEMA_VERSION}"
            raise CatalogUnreadable(self._path, reason)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        assert self._connection is not None, "the catalog is open"
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise CatalogUnreadable(self._path, str(error)) from error

    # Topics

    async def topics(self) -> list[TopicRow]:
        """Every topic, those being deleted too, by name."""
        rows = await self._run(
            lambda: self._query(
                "SELECT name, topic_id, partitions, settings, deleting FROM topics ORDER BY name"
            )
        )
        return [
            TopicRow(
                str(name),
                uuid.UUID(str(topic_id)),
                int(str(partitions)),
                json.loads(str(settings)),
                bool(deleting),
            )
            for name, topic_id, partitions, settings, deleting in rows
        ]

    async def create_topic(self, row: TopicRow) -> None:
        """Remember a topic whose logs exist."""
        values = (str(row.id), row.name, row.partitions, json.dumps(row.settings), row.deleting)
        await self._run(
            lambda: self._query(
                "INSERT INTO topics (topic_id, name, partitions, settings, deleting)"
                " VALUES (?, ?, ?, ?, ?)",
                values,
            )
        )

    async def mark_deleting(self, topic_id: uuid.UUID) -> None:
        """From here on the topic is gone, whatever happens to its files."""
        await self._change("UPDATE topics SET deleting = 1 WHERE topic_id = ?", (str(topic_id),))

    async def forget_topic(self, topic_id: uuid.UUID) -> None:
        """The topic's files are out of the way: drop its row."""
        await self._change("DELETE FROM topics WHERE topic_id = ?", (str(topic_id),))

    async def set_partitions(self, topic_id: uuid.UUID, partitions: int) -> None:
        await self._change(
            "UPDATE topics SET partitions = ? WHERE topic_id = ?", (partitions, str(topic_id))
        )

    async def set_settings(self, topic_id: uuid.UUID, settings: dict[str, str]) -> None:
        """Replace a topic's overrides."""
        await self._change(
            "UPDATE topics SET settings = ? WHERE topic_id = ?",
            (json.dumps(settings), str(topic_id)),
        )

    # Groups

    async def group_settings(self) -> dict[str, dict[str, str]]:
        """The overrides of every group that has some."""
        rows = await self._run(lambda: self._query("SELECT name, settings FROM group_settings"))
        return {str(name): json.loads(str(settings)) for name, settings in rows}

    async def set_group_settings(self, name: str, settings: dict[str, str]) -> None:
        """Replace a group's overrides."""
        if not settings:
            await self._change("DELETE FROM group_settings WHERE name = ?", (name,))
            return
        await self._change(
            "INSERT INTO group_settings (name, settings) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET settings = excluded.settings",
            (name, json.dumps(settings)),
        )

    async def _change(self, sql: str, values: tuple[object, ...]) -> None:
        await self._run(lambda: self._query(sql, values))

    # The broker

    async def broker_settings(self) -> dict[str, str]:
        """Settings that administrators changed while the broker ran."""
        rows = await self._run(lambda: self._query("SELECT name, value FROM broker_settings"))
        return {str(name): str(value) for name, value in rows}

    async def set_broker_setting(self, name: str, value: str | None) -> None:
        """Remember a changed setting; None forgets it."""
        await self._change("DELETE FROM broker_settings WHERE name = ?", (name,))
        if value is not None:
            await self._change(
                "INSERT INTO broker_settings (name, value) VALUES (?, ?)", (name, value)
            )

    async def next_producer_id_block(self) -> range:
        """Producer ids nobody was given before; durable before they are returned."""
        return await self._run(self._take_producer_ids)

    def _take_producer_ids(self) -> range:
        rows = self._query("SELECT next_id FROM producer_ids")
        first = int(str(rows[0][0])) if rows else 0
        following = first + PRODUCER_ID_BLOCK
        if rows:
            self._query("UPDATE producer_ids SET next_id = ?", (following,))
        else:
            self._query("INSERT INTO producer_ids (next_id) VALUES (?)", (following,))
        return range(first, following)

    async def close(self) -> None:
        """No other call may follow."""
        await self._run(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
