"""The catalog's schema: how it is made, and how one of an older version becomes the present one.

A migration is never changed once it was released: it says in its own words what tables were. Each
may find that its work is done. All that a catalog needs run in one transaction::

    1  tables meta, topics, group_settings, producer_ids; of the first release also
       broker_settings (name, value). Later releases count ``changes`` in meta, and kept changed
       settings of the broker as JSON under ``broker`` there.
    2  changed_settings (scope, name, value) has them, whichever way they were kept before
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from tidelog.broker.catalog import broker_settings, group_settings, meta, producer_ids, topics
from tidelog.broker.catalog.catalog_database import NoCatalog, Statement

Migration = Callable[[sqlite3.Connection], None]


def _to_2(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS changed_settings (scope TEXT NOT NULL, name TEXT NOT NULL,"
        " value TEXT NOT NULL, PRIMARY KEY (scope, name))"
    )
    kept: list[tuple[str, str, str]] = []
    if "broker_settings" in _tables(connection):
        rows = connection.execute("SELECT name, value FROM broker_settings").fetchall()
        kept += [("own", str(name), str(value)) for name, value in rows]
        connection.execute("DROP TABLE broker_settings")
    found = connection.execute("SELECT value FROM meta WHERE name = 'broker'").fetchone()
    if found is not None:
        kept += [
            (scope, str(name), str(value))
            for scope, settings in json.loads(found[0]).items()
            for name, value in settings.items()
        ]
        connection.execute("DELETE FROM meta WHERE name = 'broker'")
    connection.executemany("INSERT OR REPLACE INTO changed_settings VALUES (?, ?, ?)", kept)


_MIGRATIONS: dict[int, Migration] = {2: _to_2}
"""By the version that each leads to, from the one before it."""

SCHEMA_VERSION = 2
_OLDEST = 1


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def found_version(connection: sqlite3.Connection) -> str | None:
    """None of an empty file. Raises NoCatalog, sqlite3.Error."""
    if not _tables(connection):
        return None
    version = meta.load(connection).get("schema")
    if version is None:
        raise NoCatalog("its schema has no version")
    return version


def is_older(version: str) -> bool:
    """Whether ``upgrade`` makes a present one of it."""
    return version in map(str, range(_OLDEST, SCHEMA_VERSION))


def upgrade(connection: sqlite3.Connection, version: str) -> None:
    """In the transaction that is open. Raises ValueError, TypeError, AttributeError for rows that
    are no catalog's.
    """
    for following in range(int(version) + 1, SCHEMA_VERSION + 1):
        _MIGRATIONS[following](connection)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(SCHEMA_VERSION),))


def create() -> list[Statement]:
    """A new catalog."""
    tables = (
        meta.TABLE,
        topics.TABLE,
        group_settings.TABLE,
        broker_settings.TABLE,
        producer_ids.TABLE,
    )
    return [*((table, ()) for table in tables), meta.put("schema", str(SCHEMA_VERSION))]
