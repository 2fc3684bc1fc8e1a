"""Cursors: whatever goes in comes out, for the same member alone."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.consumer_groups.errors import InvalidCursor
from tidelog.consumer_groups.hosted.cursor import Cursor, decode_cursor, encode_cursor

PLACES = st.tuples(st.uuids(), st.integers(0, 2**31 - 1))
CURSORS = st.builds(
    Cursor,
    generation=st.integers(0, 2**31 - 1),
    auto_offset_reset=st.sampled_from(("earliest", "latest")),
    instance_id=st.none() | st.text(min_size=1, max_size=249),
    positions=st.dictionaries(PLACES, st.integers(0, 2**63 - 1)),
    turn=st.integers(0, 2**31 - 1),
)
CURSOR = Cursor(3, "earliest", "till-1", {(UUID(int=1), 0): 17, (UUID(int=2), 5): 2**40})


@given(cursor=CURSORS, group=st.text(min_size=1), member_id=st.text(min_size=1))
def test_round_trip(cursor: Cursor, group: str, member_id: str) -> None:
    text = encode_cursor(group, member_id, cursor)
    assert decode_cursor(group, member_id, text) == cursor
    assert text.isascii()
    assert not set(text) & set("+/= ")


@pytest.mark.parametrize("owner", [("g", "n"), ("h", "m"), ("", "m")])
def test_a_cursor_belongs_to_its_member(owner: tuple[str, str]) -> None:
    text = encode_cursor("g", "m", CURSOR)
    with pytest.raises(InvalidCursor):
        decode_cursor(*owner, text)


@given(text=st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor("g", "m", text)


def test_a_damaged_cursor_is_refused() -> None:
    text = encode_cursor("g", "m", CURSOR)
    source = random.Random(1)
    for at in range(len(text) - 1):
        other = source.choice([c for c in "abcXYZ019_-" if c != text[at]])
        with pytest.raises(InvalidCursor):
            decode_cursor("g", "m", text[:at] + other + text[at + 1 :])
        with pytest.raises(InvalidCursor):
            decode_cursor("g", "m", text[:at])


def test_the_turn_goes_round() -> None:
    moved = CURSOR._replace(turn=2**31 - 1).moved({})
    assert moved == CURSOR._replace(turn=0, positions={})
    assert decode_cursor("g", "m", encode_cursor("g", "m", moved)) == moved
