"""HEAD is answered wherever GET is: the same head, and nothing after it."""

from __future__ import annotations

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.raw_http import call, connected, read_answer

_CHANGING = ("/metrics", "/v1/topics", "/v1/broker", "/v1/cache", "/v1/groups/{group}")
"""What says how much time has passed, or was used, since the last answer."""
_EACH = ("x-request-id",)


@pytest.fixture
def known(http: httpx.Client, single: str) -> dict[str, str]:
    """What the parameters of paths stand for: things that there are, a whole page among them."""
    records = [{"value": n} for n in range(1000)]
    http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
    offsets = [{"topic": single, "partition": 0, "offset": 1}]
    http.put(f"/v1/groups/of-{single}/offsets", json={"offsets": offsets}).raise_for_status()
    topic_id = http.get(f"/v1/topics/{single}").json()["id"]
    return {
        "topic": single,
        "topic_id": topic_id,
        "partition": "0",
        "page": "0",
        "group": f"of-{single}",
    }


def test_every_path(broker: BrokerProcess, http: httpx.Client, known: dict[str, str]) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    gets = [path for path, methods in paths.items() if "get" in methods]
    assert len(gets) > 12
    for path in ["/docs", "/openapi.json", "/nowhere", *gets]:
        target = path.format(**known)
        got, head = (call(broker.url, method, target) for method in ("GET", "HEAD"))
        assert got.status == (404 if path == "/nowhere" else 200), path
        assert head.status == got.status, path
        assert got.headers.keys() == head.headers.keys(), path
        assert got.headers["content-length"] == str(len(got.body)), path
        if path not in _CHANGING:
            for name in got.headers.keys() - set(_EACH):
                assert head.headers[name] == got.headers[name], (path, name)


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
@pytest.mark.parametrize("path", ["/records", "/partitions/0/records"])
def test_a_stream_is_only_begun(broker: BrokerProcess, single: str, kind: str, path: str) -> None:
    """The connection takes the next request at once: no event stream is open."""
    target = f"/v1/topics/{single}{path}"
    head = f"HEAD {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {kind}\r\n\r\n"
    with connected(broker.url) as connection, connection.makefile("rb") as stream:
        for _ in range(2):
            connection.sendall(head.encode())
            answer = read_answer(stream, "HEAD")
            assert answer is not None
            assert (answer.status, answer.headers["content-type"]) == (200, kind)
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["x-request-id"]


def test_where_get_is_refused(broker: BrokerProcess, single: str) -> None:
    for path, status in (
        ("/v1/cache:warm", 405),
        (f"/v1/topics/{single}/partitions/0/records?offset=7", 416),
        (f"/v1/topics/{single}/partitions/0/records?offset=x", 422),
        ("/v1/topics/none-of-that-name/records", 404),
    ):
        assert call(broker.url, "GET", path).status == status
        head = call(broker.url, "HEAD", path)
        assert (head.status, head.body) == (status, b"")


def test_a_page_that_is_known(http: httpx.Client, known: dict[str, str]) -> None:
    page = "/v1/topics/{topic}/{topic_id}/partitions/{partition}/pages/{page}".format(**known)
    tag = http.head(page).headers["etag"]
    again = http.head(page, headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["etag"]) == (304, tag)
