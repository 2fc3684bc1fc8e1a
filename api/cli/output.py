"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def print_json(value: Any) -> None:
    """One JSON document."""
    print(pretty(value))


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; plain, tab-separated lines where stdout is not a terminal."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(title, columns, rows))
        return
    print("\t".join(columns))
    for row in rows:
        print("\t".join(map(_text, row)))


def rich_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """The table for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    cells = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        counts = all(isinstance(row[number], int | None) for row in cells)
        table.add_column(column, overflow="fold", justify="right" if counts else "left")
    for row in cells:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(timestamp_ms: int | None) -> str:
    """A time for people, in UTC."""
    if timestamp_ms is None or timestamp_ms < 0:
        return ""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
