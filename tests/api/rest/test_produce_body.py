"""The quick way through a body and the thorough one find the same records or the same fault."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.errors import ApiError
from tidelog.api.rest.records import produce_body
from tidelog.api.rest.records.produce_body import Produced, parse_json, parse_line, parse_lines
from tidelog.storage.batches.record import EncodableRecord

NOW_MS = 1_700_000_000_000
TEXTS = st.one_of(st.text(max_size=4), st.sampled_from(["", "null", '"', "\\", "\ud800", "\0"]))
WHOLE = st.sampled_from([-1, 0, 7, 2**31 - 1, 2**31, produce_body.TIMESTAMP_MAX, 2**63, 1.0, "1"])
VALUES = st.one_of(st.none(), TEXTS, st.integers(0, 10**5), st.lists(st.booleans(), max_size=2))
USUAL = {
    "key": st.one_of(st.none(), TEXTS),
    "value": VALUES,
    "headers": st.one_of(st.none(), st.dictionaries(TEXTS, TEXTS, max_size=2)),
}
UNUSUAL = {
    "key": VALUES,
    "partition": st.one_of(st.none(), WHOLE),
    "timestamp": st.one_of(st.none(), WHOLE),
    "headers": st.just([{"name": "n", "value_base64": "AA=="}]),
    "key_text": st.one_of(st.none(), TEXTS),
    "value_text": TEXTS,
    "value_base64": st.sampled_from(["AA==", "?"]),
    "other": st.just(1),
}
RECORDS = st.one_of(
    st.fixed_dictionaries({}, optional=USUAL),
    st.tuples(
        st.fixed_dictionaries({}, optional=USUAL), st.fixed_dictionaries({}, optional=UNUSUAL)
    ).map(lambda both: {**both[0], **both[1]}),
)


def plain(record: EncodableRecord) -> list[Any]:
    """With contents as bytes, however they are held."""
    timestamp, key, value, headers = record
    return [timestamp, key, None if value is None else bytes(value), list(headers)]


def outcome(parse: Any, body: bytes) -> Any:
    try:
        found: Produced = parse(body, NOW_MS)
    except ApiError as error:
        return error.status, error.code, str(error), error.details
    return [plain(record) for record in found.records], found.named


@given(st.lists(RECORDS, max_size=4))
def test_a_body_is_read_alike_by_both_ways(records: list[dict[str, Any]]) -> None:
    body = json.dumps({"records": records}).encode()
    assert outcome(parse_json, body) == outcome(produce_body._parse_any, body)


@given(st.lists(RECORDS, max_size=4))
def test_lines_are_read_alike_together_and_alone(records: list[dict[str, Any]]) -> None:
    lines = [json.dumps(record).encode() for record in records]
    try:
        together = parse_lines(lines, NOW_MS)
    except ValueError:
        return
    alone = Produced([], {})
    for line in lines:
        alone.add(*parse_line(line, NOW_MS))
    assert outcome(lambda *_: together, b"") == outcome(lambda *_: alone, b"")
