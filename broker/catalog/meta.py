"""What the catalog says of itself, by name: its ``schema``, and how many ``changes`` there were."""

from __future__ import annotations

import sqlite3

from tidelog.broker.catalog.catalog_database import Statement

TABLE = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"


def load(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def put(name: str, value: str) -> Statement:
    sql = (
        "INSERT INTO meta (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    return sql, (name, value)
