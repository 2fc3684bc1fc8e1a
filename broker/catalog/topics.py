"""Topics as rows of the catalog. One that is being deleted is marked until its files are gone."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from crc32c import crc32c

from tidelog.broker.catalog.catalog_database import Statement
from tidelog.broker.catalog.topic_row import TopicRow, decode_settings, encode_settings

TABLE = (
    "CREATE TABLE topics ("
    " topic_id TEXT PRIMARY KEY, name TEXT NOT NULL, partitions INTEGER NOT NULL,"
    " settings TEXT NOT NULL, deleting INTEGER NOT NULL)"
)


class LoadedTopics(NamedTuple):
    """``doubtful`` ones are marked as deleted as older versions did."""

    rows: list[TopicRow]
    doubtful: frozenset[uuid.UUID]


def load(connection: sqlite3.Connection) -> LoadedTopics:
    """By name. Raises ValueError, TypeError, AttributeError for rows that are none."""
    found = connection.execute(
        "SELECT name, topic_id, partitions, settings, deleting FROM topics ORDER BY name"
    ).fetchall()
    rows = [
        TopicRow(
            name, uuid.UUID(topic_id), int(partitions), decode_settings(settings), deleting != 0
        )
        for name, topic_id, partitions, settings, deleting in found
    ]
    doubtful = (
        row.id
        for row, (*_, deleting) in zip(rows, found, strict=True)
        if row.deleting and deleting != _mark(row.id)
    )
    return LoadedTopics(rows, frozenset(doubtful))


def put(row: TopicRow) -> Statement:
    sql = (
        "INSERT INTO topics (topic_id, name, partitions, settings, deleting) VALUES (?, ?, ?, ?, ?)"
    )
    mark = _mark(row.id) if row.deleting else 0
    return sql, (str(row.id), row.name, row.partitions, encode_settings(row.settings), mark)


def replace_all(rows: Iterable[TopicRow]) -> list[Statement]:
    return [("DELETE FROM topics", ()), *map(put, rows)]


def change(row: TopicRow) -> Statement:
    """Another partition count, other overrides."""
    sql = "UPDATE topics SET partitions = ?, settings = ? WHERE topic_id = ?"
    return sql, (row.partitions, encode_settings(row.settings), str(row.id))


def mark_deleting(topic_id: uuid.UUID) -> Statement:
    sql = "UPDATE topics SET deleting = ? WHERE topic_id = ?"
    return sql, (_mark(topic_id), str(topic_id))


def forget(topic_id: uuid.UUID) -> Statement:
    return "DELETE FROM topics WHERE topic_id = ?", (str(topic_id),)


def _mark(topic_id: uuid.UUID) -> int:
    """Of a topic that is deleted: not what one flipped byte makes of any other value."""
    return (1 << 32) + crc32c(topic_id.bytes)
