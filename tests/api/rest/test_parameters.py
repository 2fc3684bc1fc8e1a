"""Text and numbers in queries, paths and headers: taken as they are meant, or refused by name."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, quote, quote_from_bytes, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelog.api.errors import ApiError
from tidelog.api.http.parameters import is_integer, is_whole_number, parse_query

NO_NUMBERS = [
    "",
    " 5",
    "5 ",
    "+5",
    "-0",
    "-1",
    "1_000",
    "5.0",
    "1e3",
    "0x5",
    "\uff15",
    "\u0665",
    "²",
    "five",
]
NO_TEXT = ["%FF", "ok%FE", "%C3", "%ED%A0%80", "%F8%88%80%80%80", "%zz", "%", "%4", "100%", "%%20"]
STREAM = {"Accept": "text/event-stream"}


def parsed(query: bytes) -> list[tuple[str, str]] | ApiError:
    try:
        return parse_query(query)
    except ApiError as error:
        return error


@given(pairs=st.lists(st.tuples(st.text(), st.text(min_size=1)), max_size=5))
def test_text_comes_as_it_was_meant(pairs: list[tuple[str, str]]) -> None:
    for escape in (urlencode(pairs), urlencode(pairs, quote_via=quote)):
        assert parse_query(escape.encode()) == pairs
    raw = "&".join(f"{quote(name)}={value}" for name, value in pairs)
    if not set(raw) & set("%+&=;"):
        assert parse_query(raw.encode()) == pairs


@given(query=st.binary(max_size=40))
def test_as_another_parser_reads_it(query: bytes) -> None:
    """Unless it is no UTF-8, or an escape is broken, which the other one takes as it is."""
    found = parsed(query)
    if isinstance(found, ApiError):
        assert (found.status, found.code) == (422, "invalid_parameter")
        assert b"%" in query or not query.isascii()
    else:
        assert found == parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=99)


@given(value=st.binary(min_size=1))
def test_bytes_that_are_no_text_are_refused(value: bytes) -> None:
    found = parsed(b"key=" + quote_from_bytes(value, safe="").encode())
    if isinstance(found, ApiError):
        assert found.details == {"parameter": "key"}
        with pytest.raises(UnicodeDecodeError):
            value.decode()
    else:
        assert found == [("key", value.decode())]


@given(number=st.integers(0, 10**19 - 1), zeros=st.integers(0, 3))
def test_numbers_are_digits(number: int, zeros: int) -> None:
    text = "0" * zeros + str(number)
    assert is_whole_number(text) == (len(text) <= 19)
    assert is_integer(f"-{text}") == (number > 0 and len(text) <= 19)


@given(text=st.text(max_size=6))
def test_nothing_else_is_a_number(text: str) -> None:
    assert is_whole_number(text) == (text != "" and set(text) <= set("0123456789"))


@pytest.mark.parametrize("text", NO_TEXT)
@pytest.mark.parametrize("name", ["key", "header.h"])
def test_a_record_is_not_stored_with_another_key(
    http: httpx.Client, single: str, name: str, text: str
) -> None:
    path = f"/v1/topics/{single}/records?{name}={text}"
    answer = http.post(path, content=b"x", headers={"Content-Type": "text/plain"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_parameter")
    assert error["details"] == {"parameter": name}
    path = f"/v1/topics/{single}/records?header.{text}=1"
    answer = http.post(path, content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["end_offset"] == 0


def test_a_record_has_its_key_as_text(http: httpx.Client, single: str) -> None:
    query = "key=%C3%BC+%2B%25+%F0%9F%8C%8A&header.a+b=%00"
    path = f"/v1/topics/{single}/records?{query}"
    http.post(path, content=b"x", headers={"Content-Type": "text/plain"}).raise_for_status()
    (record,) = http.get(f"/v1/topics/{single}/partitions/0/records").json()["records"]
    assert (record["key"], record["headers"]) == ("ü +% 🌊", {"a b": "\0"})


QUERIES = [
    ("GET", "/v1/topics/TOPIC/partitions/0/records", "value", "json"),
    ("GET", "/v1/topics/TOPIC/records", "cursor", ""),
    ("GET", "/v1/topics", "prefix", "a"),
    ("GET", "/v1/groups", "page_token", "YQ=="),
    ("DELETE", "/v1/groups/g/offsets", "topic", "t"),
    ("GET", "/v1/topics/TOPIC/offsets", "timestamp", "latest"),
]


@pytest.mark.parametrize(("method", "path", "name", "_"), QUERIES)
@pytest.mark.parametrize("text", ["%FF", "%zz"])
def test_every_query_is_text(
    http: httpx.Client, single: str, method: str, path: str, name: str, _: str, text: str
) -> None:
    answer = http.request(method, f"{path.replace('TOPIC', single)}?{name}={text}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_parameter")
    assert error["details"] == {"parameter": name}


def test_every_route_refuses_what_it_does_not_know(http: httpx.Client, single: str) -> None:
    """What is misspelt would be passed over, and the answer be to another question."""
    topic_id = http.get(f"/v1/topics/{single}").json()["id"]
    there = {"topic": single, "topic_id": topic_id, "group": "g", "member": "m"}
    numbers = {"partition": 0, "page": 0}
    operations = [("get", "/docs"), ("get", "/openapi.json")] + [
        (method, path)
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        for method in methods
    ]
    for method, path in operations:
        target = path.format(**there, **numbers)
        answer = http.request(method, target, params={"max_record": "5"})
        error = answer.json()["error"]
        assert (path, answer.status_code, error["code"]) == (path, 422, "unknown_parameter")
        assert error["details"] == {"parameter": "max_record"}
    assert http.get(f"/v1/topics/{single}").status_code == 200


def test_what_is_known_is_told(http: httpx.Client) -> None:
    answer = http.get("/v1/topics", params={"prefx": "a"})
    message = answer.json()["error"]["message"]
    known = "known are include_internal, limit, page_token, prefix"
    assert message == f"unknown query parameter 'prefx'; {known}"
    message = http.get("/metrics?name=x").json()["error"]["message"]
    assert message == "unknown query parameter 'name'; there are none here"


@pytest.mark.parametrize("path", ["/v1/topics?limit=5&limit=6", "/v1/groups?prefix=a&prefix=a"])
def test_a_parameter_comes_once(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_parameter")


NUMBERS = [
    ("GET", "/v1/topics/TOPIC/partitions/0/records", "max_records", "5"),
    ("GET", "/v1/topics/TOPIC/partitions/0/records", "max_bytes", "5"),
    ("GET", "/v1/topics/TOPIC/partitions/0/records", "wait_ms", "0"),
    ("GET", "/v1/topics/TOPIC/partitions/0/records", "offset", "0"),
    ("GET", "/v1/topics/TOPIC/records", "max_records", "5"),
    ("GET", "/v1/topics/TOPIC/records", "from", "5"),
    ("GET", "/v1/topics/TOPIC/records", "speed", "5"),
    ("GET", "/v1/topics/TOPIC/offsets", "timestamp", "5"),
    ("GET", "/v1/topics", "limit", "5"),
    ("GET", "/v1/groups", "limit", "5"),
    ("DELETE", "/v1/topics/TOPIC/partitions/0/records", "before_offset", "0"),
    ("POST", "/v1/topics/TOPIC/records", "partition", "0"),
    ("POST", "/v1/topics/TOPIC/records", "timestamp", "0"),
]
MEANT_OTHERWISE = {("offset", "-1"), ("before_offset", "-1"), ("speed", "5.0")}


@pytest.mark.parametrize(
    ("method", "path", "name", "good"), NUMBERS, ids=[f"{one[0]} {one[2]}" for one in NUMBERS]
)
def test_every_number_is_in_digits(
    http: httpx.Client, single: str, method: str, path: str, name: str, good: str
) -> None:
    target = path.replace("TOPIC", single)

    def status(text: str) -> int:
        kind = {"Content-Type": "text/plain"}
        body = b"x" if method == "POST" else None
        return http.request(
            method, target, params={name: text}, content=body, headers=kind
        ).status_code

    assert status(good) == 200
    assert status(f"00{good}") == 200
    for text in (*NO_NUMBERS, "9" * 20, "9" * 5000):
        if (name, text) not in MEANT_OTHERWISE:
            assert (text[:9], status(text)) == (text[:9], 422)


@pytest.mark.parametrize("text", [one for one in NO_NUMBERS if one])
def test_numbers_in_paths(http: httpx.Client, single: str, text: str) -> None:
    for method in ("GET", "DELETE"):
        path = f"/v1/topics/{single}/partitions/{quote(text)}/records"
        answer = http.request(method, path, params={"before_offset": 0} if method != "GET" else {})
        # A partition that there is not is a number nevertheless.
        assert answer.status_code == (404 if (method, text) == ("DELETE", "-1") else 422)


@pytest.mark.parametrize(
    "text", [one for one in NO_NUMBERS if one.isascii() and one.strip() == one]
)
def test_numbers_in_headers(http: httpx.Client, single: str, text: str) -> None:
    path, body = f"/v1/topics/{single}/records", {"records": [{"value": 1}]}
    producer = {"Producer-Id": "1", "Producer-Epoch": "0", "Producer-Sequence": "0"}
    for name in ("If-Match-Offset", *producer):
        headers = {**producer, name: text}
        answer = http.post(path, json=body, headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, error["details"]) == (422, {"header": name})
    if text:
        headers = {**STREAM, "Last-Event-ID": text}
        answer = http.get(f"/v1/topics/{single}/partitions/0/records", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_header")


def test_headers_that_come_twice(http: httpx.Client, single: str) -> None:
    path = f"/v1/topics/{single}/records"
    for name in ("If-Match-Offset", "Idempotency-Key"):
        headers = [("Content-Type", "application/json"), (name, "0"), (name, "1")]
        answer = http.post(path, content=b'{"records":[{"value":1}]}', headers=headers)
        assert (answer.status_code, answer.json()["error"]["details"]) == (422, {"header": name})
    for text in ("9" * 20, "9" * 5000):
        headers = [("Accept", "text/event-stream"), ("Last-Event-ID", text)]
        answer = http.get(f"/v1/topics/{single}/partitions/0/records", headers=headers)
        assert answer.status_code == 422


@pytest.mark.parametrize("speed", ["1x", "0.5x", "10", "2.50x", "max"])
def test_speeds(http: httpx.Client, single: str, speed: str) -> None:
    answer = http.get(f"/v1/topics/{single}/records", params={"speed": speed})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "speed", ["0", "0.0x", "1_0", "nan", "inf", "1e3x", ".5", "5.", "-1x", "xx"]
)
def test_what_is_no_speed(http: httpx.Client, single: str, speed: str) -> None:
    answer = http.get(f"/v1/topics/{single}/records", params={"speed": speed})
    assert answer.json()["error"]["details"] == {"parameter": "speed"}


HALF = json.dumps("\ud800")


@pytest.mark.parametrize(
    "record",
    [
        '{"key":HALF}',
        '{"value":HALF}',
        '{"value":{"a":[HALF]}}',
        '{"value":{HALF:1}}',
        '{"value_text":"a\\udc00b"}',
        '{"headers":{HALF:"1"}}',
        '{"headers":{"a":HALF}}',
        '{"headers":[{"name":HALF}]}',
        "{HALF:1}",
    ],
)
def test_half_a_character_is_refused_by_record(
    http: httpx.Client, single: str, record: str
) -> None:
    path, bad = f"/v1/topics/{single}/records", record.replace("HALF", HALF)
    body = f'{{"records":[{{"value":"\\ud83c\\udf0a"}},{bad}]}}'
    headers = {"Content-Type": "application/json"}
    answer = http.post(path, content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_record")
    assert [one["index"] for one in error["details"]["records"]] == [1]
    assert "half a surrogate pair" in error["message"]
    headers = {"Content-Type": "application/x-ndjson"}
    answer = http.post(path, content='{"value":1}\n' + bad + "\n", headers=headers)
    error = json.loads(answer.text.splitlines()[-1])["error"]
    assert (error["code"], error["details"]["line"]) == ("invalid_record", 2)
    assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["end_offset"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/topics", '{"name":HALF}'),
        ("POST", "/v1/topics", '{"name":"t","settings":{HALF:1}}'),
        ("POST", "/v1/groups/g/members", '{"topics":[HALF]}'),
        ("PUT", "/v1/groups/g/offsets", '{"offsets":[HALF]}'),
        ("POST", "/v1/topics/TOPIC/records", '{HALF:1,"records":[{"value":1}]}'),
    ],
)
def test_half_a_character_anywhere_else_is_no_json(
    http: httpx.Client, single: str, method: str, path: str, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    target, content = path.replace("TOPIC", single), body.replace("HALF", HALF)
    answer = http.request(method, target, content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
