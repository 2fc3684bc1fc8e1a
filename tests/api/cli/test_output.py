"""What tables, sizes and durations look like to a person."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tidelog.api.cli.output import age, counted, rich_table

LONG_NAME = "a.topic.whose.name.is.as.long.as.names.may.be." + "x" * 202
TABLES = {
    "lag": (
        ("topic", "partition", "committed", "end", "lag", "seconds", "member"),
        (LONG_NAME, 9999, 10**11 - 1, 10**11, 10**9, "86400", "consumer-1-" + "f" * 36),
    ),
    "segments": (
        ("partition", "base", "offsets", "size", "first", "last", "sealed", "cleaned"),
        (99, 10**7, 10**6, "999.9 MiB", "2023-11-14 22:13:20", "2023-11-14 22:13:20", "yes", "no"),
    ),
    "topics": (("topic", "partitions", "records", "size"), (LONG_NAME, 9999, 10**12, "9.9 GiB")),
    "doctor": (("check", "verdict", "found"), ("health", "warning", f"{LONG_NAME}-0: damaged")),
}


def shown(columns: tuple[str, ...], rows: list[tuple[object, ...]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(rich_table("Title", columns, rows, shortened=("member",)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", TABLES)
def test_tables_fit_80_columns(name: str) -> None:
    columns, row = TABLES[name]
    text = shown(columns, [row], 80)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    assert set(columns) <= set(words)
    # Numbers are never folded, and nothing but ids that are elsewhere is cut.
    assert {str(cell) for cell in row if isinstance(cell, int)} <= set(words)
    if name != "lag":
        joined = "".join(words)
        for cell in row:
            assert set(str(cell).split()) <= set(words) or str(cell)[:20] in joined


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (999, "999ms"),
        (1000, "1s"),
        (61_000, "1m1s"),
        (3_600_000, "1h"),
        (3_601_000, "1h"),
        (7 * 86_400_000, "7d"),
        (90_061_000, "1d1h"),
    ],
)
def test_ages(milliseconds: int, text: str) -> None:
    assert age(milliseconds) == text


@given(st.integers(1000, 10**15))
def test_an_age_loses_less_than_its_second_unit(milliseconds: int) -> None:
    from tidelog.api.units import parse_duration

    told = parse_duration(age(milliseconds))
    assert told <= milliseconds
    assert milliseconds - told < max(1000, milliseconds / 24)


def test_counts() -> None:
    assert [counted(number, "entry", "entries") for number in (0, 1, 2)] == [
        "0 entries",
        "1 entry",
        "2 entries",
    ]
