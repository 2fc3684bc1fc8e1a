"""JSON nested deep: taken where it can be read, else told so; shown as JSON or else as text."""

from __future__ import annotations

import base64
import contextlib
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.errors import ApiError
from tidelog.api.rest.records.produce_body import Produced, parse_json, parse_line, parse_lines
from tidelog.api.rest.records.rendering import render_records
from tidelog.storage.batches.record import Record

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}
LISTS, OBJECTS, OPEN = "lists", "objects", "never closed"


def nested(depth: int, kind: str) -> bytes:
    if kind == OBJECTS:
        return b'{"a":' * depth + b"1" + b"}" * depth
    return b"[" * depth + (b"]" * depth if kind == LISTS else b"")


def read(body: bytes) -> Produced | ApiError:
    try:
        return parse_json(body, 5)
    except ApiError as error:
        return error


DEPTHS = st.one_of(st.integers(1, 2000), st.sampled_from([10_000, 100_000]))
KINDS = st.sampled_from([LISTS, OBJECTS, OPEN])


@given(depth=DEPTHS, kind=KINDS, field=st.sampled_from([b"key", b"value", b"headers", b"x"]))
def test_any_depth_is_read_or_refused(depth: int, kind: str, field: bytes) -> None:
    record = b'{"%b":%b}' % (field, nested(depth, kind))
    found = read(b'{"records":[%b]}' % record)
    if isinstance(found, ApiError):
        assert found.code in ("nested_too_deep", "invalid_record", "invalid_json")
        assert found.code != "nested_too_deep" or depth > 500
    elif field != b"headers":
        _, key, value, _ = found.records[0]
        content = key if field == b"key" else value
        assert content is not None
        assert bytes(content) == nested(depth, kind)
    for read_line in (lambda: parse_line(record, 5), lambda: parse_lines([record], 5)):
        with contextlib.suppress(ValueError):
            read_line()


@given(depth=DEPTHS, kind=KINDS)
def test_any_depth_is_shown(depth: int, kind: str) -> None:
    value = nested(depth, kind)
    records = [Record(n, 5, None, one, ()) for n, one in enumerate((b"1", value))]
    lines = render_records(records)
    assert lines[0] == b'{"offset":0,"timestamp":5,"key":null,"value":1,"headers":{}}'
    for form in (b'"value":%b' % value, b'"value_text":%b' % json.dumps(value.decode()).encode()):
        if b'"key":null,%b,' % form in lines[1]:
            break
    else:
        pytest.fail(f"the value is in no form in {lines[1]!r}")


@pytest.mark.parametrize("kind", [LISTS, OBJECTS])
@pytest.mark.parametrize("depth", [1000, 100_000])
class TestTooDeep:
    def test_a_body(self, http: httpx.Client, single: str, depth: int, kind: str) -> None:
        body = b'{"records":[{"value":1},{"value":%b}]}' % nested(depth, kind)
        answer = http.post(f"/v1/topics/{single}/records", content=body, headers=JSON)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "nested_too_deep")
        assert "value_text" in error["message"]
        assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["end_offset"] == 0

    def test_a_line(self, http: httpx.Client, single: str, depth: int, kind: str) -> None:
        body = b'{"value":1}\n{"value":%b}\n' % nested(depth, kind)
        answer = http.post(f"/v1/topics/{single}/records", content=body, headers=LINES)
        first, last = map(json.loads, answer.text.splitlines())
        assert first["offset"] == 0
        assert (last["error"]["code"], last["error"]["details"]["line"]) == ("invalid_record", 2)
        assert "nested too deep" in last["error"]["message"]

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/v1/topics", b'{"name":%b}'),
            ("POST", "/v1/topics", b'{"name":"\\u0061","settings":%b}'),
            ("PATCH", "/v1/topics/TOPIC", b"%b"),
            ("POST", "/v1/groups/g/members", b'{"topics":%b}'),
            ("PUT", "/v1/groups/g/offsets", b'{"offsets":[%b]}'),
            ("POST", "/v1/groups/g/members/m/poll", b'{"cursor":%b}'),
        ],
    )
    def test_administrative_bodies(
        self,
        http: httpx.Client,
        single: str,
        depth: int,
        kind: str,
        method: str,
        path: str,
        body: bytes,
    ) -> None:
        content = body % nested(depth, kind)
        answer = http.request(method, path.replace("TOPIC", single), content=content, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "nested_too_deep")

    def test_a_stored_value(self, http: httpx.Client, single: str, depth: int, kind: str) -> None:
        value = nested(depth, kind)
        path = f"/v1/topics/{single}/records"
        http.post(path, content=value, headers=TEXT).raise_for_status()
        http.post(path, content=b"7", headers=TEXT).raise_for_status()
        for page in (
            http.get(f"/v1/topics/{single}/partitions/0/records"),
            http.get(f"/v1/topics/{single}/records"),
        ):
            deep, flat = page.json()["records"]
            assert deep["value_text"].encode() == value
            assert flat["value"] == 7
        group = f"/v1/groups/group-of-{single}/members"
        member = http.post(group, json={"topics": [single]}).json()
        poll = {"cursor": member["cursor"], "wait_ms": 5000}
        polled = http.post(f"{group}/{member['member_id']}/poll", json=poll)
        assert polled.json()["records"][0]["value_text"].encode() == value


@pytest.mark.parametrize("depth", [10, 500, 1000, 20_000])
def test_cursors_and_tokens(http: httpx.Client, single: str, depth: int) -> None:
    for text in (nested(depth, LISTS), b'["x",%b]' % nested(depth, LISTS), nested(depth, OPEN)):
        cursor = base64.b64encode(text).decode()
        answer = http.get(f"/v1/topics/{single}/records", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_cursor")


def test_what_can_be_read_is_stored_as_it_is(http: httpx.Client, single: str) -> None:
    for kind in (LISTS, OBJECTS):
        body = b'{"records":[{"value":%b}]}' % nested(500, kind)
        answer = http.post(f"/v1/topics/{single}/records", content=body, headers=JSON)
        assert answer.status_code == 200
    page = http.get(f"/v1/topics/{single}/partitions/0/records").content
    for kind in (LISTS, OBJECTS):
        assert b'"value":%b,' % nested(500, kind) in page
