"""Which form a route answers in: Accept as RFC 9110 has it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tidelog.api.errors import ApiError
from tidelog.api.http.accept import negotiate

JSON, LINES = b"application/json", b"application/x-ndjson"
EVENTS, BYTES = b"text/event-stream", b"application/octet-stream"
OFFERED = (JSON, LINES, EVENTS, BYTES)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["*"], JSON),
        (["application/*"], JSON),
        (["text/*"], EVENTS),
        (["text/event-stream"], EVENTS),
        (["TEXT/Event-Stream"], EVENTS),
        (["application/x-ndjson"], LINES),
        (["application/octet-stream"], BYTES),
        (["text/event-stream;q=0, application/json"], JSON),
        (["application/json, text/event-stream;q=0.1"], JSON),
        (["application/json;q=0.1, text/event-stream;q=0.2"], EVENTS),
        (["text/event-stream", "application/json;q=0.5"], EVENTS),
        (["application/json;q=0.5", "text/event-stream"], EVENTS),
        (["application/json", "text/event-stream"], JSON),
        (["application/x-ndjson, */*"], LINES),
        (["*/*, application/x-ndjson"], LINES),
        (["*/*;q=0.8, application/x-ndjson;q=0.2"], JSON),
        (["application/json;q=0, */*"], LINES),
        (["application/*;q=0, */*"], EVENTS),
        (["application/*;q=0.2, application/octet-stream;q=0.4, text/*;q=0.1"], BYTES),
        (["text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8"], JSON),
        (["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"], JSON),
        (["application/json, text/plain, */*"], JSON),
        (["application/json;charset=utf-8"], JSON),
        (["application/json;profile=x;q=0, application/json;q=0.5, text/*;q=0.4"], JSON),
        (['application/json;a=",;q=0"'], JSON),
        (["application/json ; Q=0.3 , text/event-stream\t;\tq=0.4"], EVENTS),
        (["application/json;q=0.001, text/event-stream;q=0.0"], JSON),
        (["application/json;q=1.000"], JSON),
        (["application/json;q=high, text/event-stream;q=0.9"], JSON),
        ([", ,application/x-ndjson,,"], LINES),
        (["nonsense, application/x-ndjson"], LINES),
        (["nonsense"], JSON),
        (["*/json, text/event-stream"], EVENTS),
        (["x" * 5000 + "/y, text/event-stream"], EVENTS),
    ],
)
def test_a_form_is_chosen(lines: list[str], expected: bytes) -> None:
    assert negotiate([line.encode() for line in lines], OFFERED) == expected


@pytest.mark.parametrize(
    "line",
    [
        "text/html",
        "application/json;q=0",
        "*/*;q=0",
        "image/*, text/csv",
        "text/event-stream;q=0.000",
    ],
)
def test_where_no_form_will_do(line: str) -> None:
    with pytest.raises(
        ApiError, match=r"there are application/json, application/x-ndjson"
    ) as raised:
        negotiate([line.encode()], (JSON, LINES))
    assert (raised.value.status, raised.value.code) == (406, "not_acceptable")
    assert raised.value.details == {"available": [JSON.decode(), LINES.decode()]}


PARTS = st.tuples(
    st.sampled_from(
        [*(form.decode() for form in OFFERED), "*/*", "application/*", "text/*", "text/html"]
    ),
    st.integers(0, 1000),
)


@given(parts=st.lists(PARTS, max_size=5, unique_by=lambda part: part[0]), split=st.booleans())
def test_as_the_standard_says(parts: list[tuple[str, int]], split: bool) -> None:
    """By its definition: the weight of a form is that of the most specific range for it."""
    weights = dict(parts)

    def weight(form: str) -> int:
        ranges = (form, form.partition("/")[0] + "/*", "*/*")
        return next((weights[one] for one in ranges if one in weights), 0)

    lines = [f"{name};q={thousandths / 1000:.3f}".encode() for name, thousandths in parts]
    best = max(weight(form.decode()) for form in OFFERED) if parts else 1
    try:
        chosen: Any = negotiate(lines if split else [b", ".join(lines)], OFFERED)
    except ApiError:
        chosen = None
    assert (chosen is None) == (best == 0)
    if chosen is not None and parts:
        assert weight(chosen.decode()) == best


@given(header=st.binary(max_size=60))
def test_any_header_is_answered(header: bytes) -> None:
    try:
        chosen: Any = negotiate([header], OFFERED)
    except ApiError as error:
        chosen = error.status
    assert chosen in (*OFFERED, 406)


ROUTES = {
    "/v1/topics/TOPIC/partitions/0/records": OFFERED,
    "/v1/topics/TOPIC/records": OFFERED[:3],
    "/v1/topics/TOPIC/ID/partitions/0/pages/0": (JSON, LINES, BYTES),
}


@pytest.mark.parametrize(("path", "forms"), ROUTES.items())
def test_every_route_that_has_a_choice(
    broker: BrokerProcess, http: httpx.Client, single: str, path: str, forms: tuple[bytes, ...]
) -> None:
    body = {"records": [{"value": n} for n in range(1000)]}
    http.post(f"/v1/topics/{single}/records", json=body).raise_for_status()
    topic_id = http.get(f"/v1/topics/{single}").json()["id"]
    target = path.replace("TOPIC", single).replace("ID", topic_id)

    def form(*lines: str) -> str:
        headers = [("Accept", line) for line in lines]
        with broker.client(headers={"Accept": ""}) as client:
            del client.headers["Accept"]
            with client.stream("GET", target, headers=headers) as answer:
                return answer.headers["content-type"] if answer.status_code == 200 else "none"

    for one in OFFERED:
        name = one.decode()
        assert form(name.upper()) == (name if one in forms else "none")
        assert form("text/html;q=0.1", f"{name};q=0.9", "*/*;q=0.2") == (
            name if one in forms else JSON.decode()
        )
    assert form() == form("*/*") == form("application/*") == JSON.decode()
    answer = http.get(target, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (406, "not_acceptable")
    assert answer.json()["error"]["details"]["available"] == [one.decode() for one in forms]
