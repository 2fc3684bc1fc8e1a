"""Settings of single groups: the overrides of each that has some."""

from __future__ import annotations

import sqlite3

from tidelog.broker.catalog.catalog_copy import GroupSettings
from tidelog.broker.catalog.catalog_database import Statement
from tidelog.broker.catalog.topic_row import decode_settings, encode_settings

TABLE = "CREATE TABLE group_settings (name TEXT PRIMARY KEY, settings TEXT NOT NULL)"


def load(connection: sqlite3.Connection) -> GroupSettings:
    """Raises ValueError, TypeError for rows that are no settings."""
    rows = connection.execute("SELECT name, settings FROM group_settings").fetchall()
    return {str(name): decode_settings(settings) for name, settings in rows}


def put(name: str, settings: dict[str, str]) -> Statement:
    """Replace the group's overrides."""
    if not settings:
        return "DELETE FROM group_settings WHERE name = ?", (name,)
    sql = (
        "INSERT INTO group_settings (name, settings) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET settings = excluded.settings"
    )
    return sql, (name, encode_settings(settings))


def replace_all(groups: GroupSettings) -> list[Statement]:
    return [("DELETE FROM group_settings", ()), *(put(name, own) for name, own in groups.items())]
