"""Producer ids, given out in blocks: the first that is in no block yet."""

from __future__ import annotations

import sqlite3

from tidelog.broker.catalog.catalog_database import Statement

BLOCK = 1000
TABLE = "CREATE TABLE producer_ids (next_id BIGINT NOT NULL)"


def load(connection: sqlite3.Connection) -> int:
    """Raises ValueError, TypeError for what is no number."""
    rows = connection.execute("SELECT next_id FROM producer_ids").fetchall()
    return int(rows[0][0]) if rows else 0


def put(next_id: int) -> list[Statement]:
    return [
        ("DELETE FROM producer_ids", ()),
        ("INSERT INTO producer_ids (next_id) VALUES (?)", (next_id,)),
    ]
