"""The SQLite file of the catalog: opened, checked, and set aside where it is damaged.

A file that SQLite calls damaged, and one whose rows are no catalog's, is kept under another name
and an empty one takes its place. A file that cannot be used for another reason (a lock, a full
disk, missing rights, a later version's) stays as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from tidelog.broker.errors import CatalogUnreadable
from tidelog.storage.errors import DiskFull
from tidelog.storage.files import Disk

T = TypeVar("T")
Statement = tuple[str, tuple[object, ...]]
"""SQL, in the words that PostgreSQL understands too, and the values in it."""

_DAMAGED = ".damaged"
_SIDE_FILES = ("", "-wal", "-shm")
_OF_DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
}
_VERSIONS, _VERSION_MAX = slice(18, 20), 2
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN)
_SHORT_READ = sqlite3.SQLITE_IOERR | 2 << 8


class Sqlite:
    """SQLite's own files; a simulation keeps the database in memory and its bytes on its disk."""

    def connect(self, path: str) -> sqlite3.Connection:
        """Nothing is read yet. Raises sqlite3.Error."""
        return sqlite3.connect(path, isolation_level=None)

    def fold(self, path: str, connection: sqlite3.Connection) -> None:
        """Move the write-ahead log into the file: a copy of that alone is whole then."""
        # What cannot be moved now is durable where it is.
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class NoCatalog(ValueError):
    """A whole SQLite file that is not a catalog."""


class Opened(NamedTuple, Generic[T]):
    """``content`` None: there was none, for the reason ``loss``; ``kept_as``: where it is now."""

    connection: sqlite3.Connection
    content: T | None
    loss: str = ""
    kept_as: str | None = None


def open_database(
    database: Sqlite, path: str, disk: Disk, load: Callable[[sqlite3.Connection], T | None]
) -> Opened[T]:
    """A connection with a write-ahead log, and what ``load`` found; None stands for an empty file.

    ``load`` raises NoCatalog, sqlite3.Error, CatalogUnreadable. Raises CatalogUnreadable, OSError.
    """
    if not disk.exists(path) or not disk.size(path):
        # SQLite would drop the changes that wait for a file of no bytes.
        kept_as = _set_aside(path, disk) if _waiting(path, disk) else None
        return Opened(_begin(_connect(database, path)), None, "is missing", kept_as)
    connection = _connect_to_read(database, path)
    try:
        try:
            _check(connection)
            content = load(connection)
        except (sqlite3.Error, NoCatalog) as error:
            if not (_is_damage(error) or _is_wrongly_read_only(error, path, disk)):
                raise unusable(path, error) from error
            # Before SQLite lets go of the file, which may change it.
            kept_as = _set_aside(path, disk)
            loss = f"is damaged ({error})"
        else:
            return Opened(_begin(connection), content, "is empty" if content is None else "")
    except BaseException:
        connection.close()
        raise
    connection.close()
    for side in _SIDE_FILES:
        disk.remove(path + side)
    return Opened(_begin(_connect(database, path)), None, loss, kept_as)


def unusable(path: str, error: Exception) -> CatalogUnreadable | DiskFull:
    """What an error of SQLite's that is no damage means."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFull(path, str(error))
    return CatalogUnreadable(path, str(error))


def _connect(database: Sqlite, path: str) -> sqlite3.Connection:
    try:
        return database.connect(path)
    except sqlite3.Error as error:
        raise CatalogUnreadable(path, str(error)) from error


def _connect_to_read(database: Sqlite, path: str) -> sqlite3.Connection:
    """Alone, where a full disk has no room for what several readers of a file share beside it."""
    connection = _connect(database, path)
    try:
        _try_lock(connection)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) in _NO_ROOM:
            connection.close()
            connection = _connect(database, path)
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _begin(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Raises NoCatalog, sqlite3.Error; 6 ms for ten thousand topics."""
    _try_lock(connection)
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise NoCatalog(" ".join(str(found).split()))


def _try_lock(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code == _SHORT_READ or code & 0xFF in _OF_DAMAGE


def _is_wrongly_read_only(error: Exception, path: str, disk: Disk) -> bool:
    """Whether the file's head says that it is of a later version of SQLite, of which is none."""
    read_only = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
    return read_only and max(disk.read_bytes(path)[_VERSIONS]) > _VERSION_MAX


def _waiting(path: str, disk: Disk) -> bool:
    return disk.exists(path + "-wal") and disk.size(path + "-wal") > 0


def _set_aside(path: str, disk: Disk) -> str:
    """Keep the bytes of the file and of its write-ahead log under another name; that name."""
    away, number = path + _DAMAGED, 0
    while any(disk.exists(away + side) for side in _SIDE_FILES):
        number += 1
        away = f"{path}{_DAMAGED}-{number}"
    for side in _SIDE_FILES[:2]:
        if disk.exists(path + side):
            disk.write_atomically(away + side, disk.read_bytes(path + side))
    return away
