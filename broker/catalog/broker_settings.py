"""Settings of the broker that were set while it ran, by scope: its ``own``, or ``for_all``."""

from __future__ import annotations

import sqlite3

from tidelog.broker.catalog.catalog_copy import BrokerChanges
from tidelog.broker.catalog.catalog_database import Statement

TABLE = (
    "CREATE TABLE changed_settings (scope TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (scope, name))"
)


def load(connection: sqlite3.Connection) -> BrokerChanges:
    changes: BrokerChanges = {}
    sql = "SELECT scope, name, value FROM changed_settings ORDER BY scope, name"
    for scope, name, value in connection.execute(sql):
        changes.setdefault(str(scope), {})[str(name)] = str(value)
    return changes


def replace_all(changes: BrokerChanges) -> list[Statement]:
    sql = "INSERT INTO changed_settings (scope, name, value) VALUES (?, ?, ?)"
    return [
        ("DELETE FROM changed_settings", ()),
        *(
            (sql, (scope, name, value))
            for scope, settings in changes.items()
            for name, value in settings.items()
        ),
    ]
