"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_SHORTENED_WIDTH = 16
"""Characters: enough for the beginning of an id that another table has whole."""
_WORD_MAX = 10
"""Words of so many characters are folded between, not within."""
_UNBOUNDED = 10**14
"""So much and more of a setting is told by its number alone."""


def print_json(value: Any) -> None:
    """One JSON document."""
    print(pretty(value))


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], shortened: Sequence[str] = ()
) -> None:
    """A table; plain, tab-separated lines where stdout is not a terminal."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(title, columns, rows, shortened))
        return
    print("\t".join(columns))
    for row in rows:
        print("\t".join(map(_text, row)))


def rich_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], shortened: Sequence[str] = ()
) -> Table:
    """The table for a terminal: text is folded, but cut in columns that are ``shortened``."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    cells = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.show_edge, table.pad_edge, table.padding = False, False, (0, 1, 0, 0)
    for number, column in enumerate(columns):
        counts = all(isinstance(row[number], int | None) for row in cells)
        cut = column in shortened
        table.add_column(
            column,
            overflow="ellipsis" if cut else "fold",
            justify="right" if counts else "left",
            no_wrap=counts or cut,
            min_width=max(len(column), *(_whole(row[number]) for row in cells), 0),
            max_width=_SHORTENED_WIDTH if cut else None,
        )
    for row in cells:
        table.add_row(*map(_text, row))
    return table


def _whole(cell: Any) -> int:
    """How wide its longest word is that is not to be broken, as a date."""
    return max((len(word) for word in _text(cell).split() if len(word) <= _WORD_MAX), default=0)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """What is known of one thing, a line each: aligned on a terminal, else tab-separated."""
    rows = list(facts)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}" if sys.stdout.isatty() else f"{name}\t{text}")


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """How many, in words."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def age(milliseconds: int) -> str:
    """A duration for people, in its two largest units."""
    seconds = milliseconds // 1000
    counts = (seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    first = next((place for place, count in enumerate(counts) if count), None)
    if first is None:
        return f"{milliseconds}ms"
    named = list(zip(counts, "dhms", strict=True))[first : first + 2]
    return "".join(f"{count}{unit}" for count, unit in named if count)


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def readable_setting(name: str, value: str) -> str:
    """A setting's value; on a terminal a duration or size with its unit, too."""
    if not sys.stdout.isatty() or not value.isdigit() or not 1000 < int(value) < _UNBOUNDED:
        return value
    if name.endswith(".ms"):
        return f"{value} ({age(int(value))})"
    return f"{value} ({size(int(value))})" if name.endswith(".bytes") else value


def moment(timestamp_ms: int | None) -> str:
    """A time for people, in UTC."""
    if timestamp_ms is None or timestamp_ms < 0:
        return ""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
