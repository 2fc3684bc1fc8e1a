"""Answers in gzip and zstd: which are, for whom, and that they say the same."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import httpx
import pytest
import zstandard

from tests.support.broker_process import BrokerProcess
from tests.support.raw_http import call
from tidelog.api.http.compressing import GZIP, ZSTD, Compressing, codings_of
from tidelog.api.http.request_reply import Message

CODINGS = ["gzip", "zstd"]
JSON, LINES, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("gzip", [GZIP]),
        ("x-gzip", [GZIP]),
        ("zstd", [ZSTD]),
        ("gzip, deflate, br, zstd", [ZSTD, GZIP]),
        ("gzip;q=1.0, zstd;q=0.5", [GZIP, ZSTD]),
        ("GZIP ; Q=0.4", [GZIP]),
        ("*", [ZSTD, GZIP]),
        ("zstd;q=0, *", [GZIP]),
        ("identity, gzip;q=0.5", []),
        ("identity;q=0.5, gzip", [GZIP]),
        ("gzip;q=0", []),
        ("gzip;q=0.000", []),
        ("*;q=0", []),
        ("identity", []),
        ("deflate, br", []),
        ("", []),
        (";;,q=1,=", []),
    ],
)
def test_the_coding_that_is_preferred(header: str, codings: list[bytes]) -> None:
    assert codings_of([header.encode()]) == tuple(codings)


def test_lines_are_one_list() -> None:
    assert codings_of([b"br", b"gzip"]) == (GZIP,)
    assert codings_of([b"br, " * 200 + b"gzip"]) == (GZIP,)


def decoded(coding: str, body: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


@pytest.fixture
def filled(http: httpx.Client, single: str) -> str:
    records = [{"key": f"k{n}", "value": {"n": n, "text": "x" * 50}} for n in range(1000)]
    path = f"/v1/topics/{single}/records"
    http.post(path, json={"records": records}).raise_for_status()
    return single


@pytest.fixture
def page(http: httpx.Client, filled: str) -> str:
    topic_id = http.get(f"/v1/topics/{filled}").json()["id"]
    return f"/v1/topics/{filled}/{topic_id}/partitions/0/pages/0"


def fetch(
    http: httpx.Client, path: str, coding: str, method: str = "GET", kind: str = JSON
) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it came."""
    headers = {"Accept-Encoding": coding, "Accept": f"{kind}, */*;q=0.1"}
    with http.stream(method, path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("coding", CODINGS)
class TestBroker:
    @pytest.mark.parametrize("kind", [JSON, LINES])
    def test_records(self, http: httpx.Client, filled: str, coding: str, kind: str) -> None:
        for path in (f"/v1/topics/{filled}/partitions/0/records", f"/v1/topics/{filled}/records"):
            plain, body = fetch(http, path, "identity", kind=kind)
            answer, coded = fetch(http, path, coding, kind=kind)
            used = answer.headers.get("content-encoding")
            # Lines are a stream, of which some clients would read the first frame of zstd.
            assert used == (coding if kind == JSON else "gzip" if coding == "gzip" else None)
            assert (decoded(used, coded) if used else coded) == body
            assert used is None or len(coded) < len(body) / 3
            assert answer.headers.get("vary") == (used and "Accept-Encoding")
            assert "content-encoding" not in plain.headers

    @pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/metrics"])
    def test_other_texts(self, http: httpx.Client, coding: str, path: str) -> None:
        answer, coded = fetch(http, path, coding)
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["content-length"] == str(len(coded))
        assert decoded(coding, coded)

    def test_polls(self, http: httpx.Client, filled: str, coding: str) -> None:
        joined = http.post(f"/v1/groups/{filled}/members", json={"topics": [filled]}).json()
        path = f"/v1/groups/{filled}/members/{joined['member_id']}/poll"
        headers = {"Accept-Encoding": coding}
        body = {"cursor": joined["cursor"], "wait_ms": 30_000}
        answer = http.post(path, json=body, headers=headers)
        assert answer.headers["content-encoding"] == coding
        assert len(answer.json()["records"]) > 1

    def test_pages(self, http: httpx.Client, page: str, coding: str) -> None:
        """From the cache, too; each coding is an entity of its own."""
        plain, body = fetch(http, page, "identity")
        for _ in range(2):
            answer, coded = fetch(http, page, coding)
            assert answer.headers["content-encoding"] == coding
            assert decoded(coding, coded) == body
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
        assert answer.headers["etag"] != plain.headers["etag"]
        head, nothing = fetch(http, page, coding, "HEAD")
        assert (head.headers["content-length"], nothing) == (str(len(coded)), b"")
        for tag, status in ((answer.headers["etag"], 304), (plain.headers["etag"], 200)):
            headers = {"Accept-Encoding": coding, "If-None-Match": tag}
            assert http.get(page, headers=headers).status_code == status

    def test_what_goes_as_it_is(self, http: httpx.Client, filled: str, coding: str) -> None:
        path = f"/v1/topics/{filled}/partitions/0/records"
        for kind in ("application/octet-stream", EVENTS):
            answer, _ = fetch(http, f"{path}?max_records=9", coding, kind=kind)
            assert answer.headers["content-type"] == kind
            assert "content-encoding" not in answer.headers
        short, _ = fetch(http, f"{path}?max_records=1", coding)
        assert "content-encoding" not in short.headers
        records = {"records": [{"value": n} for n in range(100)]}
        receipt = http.post(
            f"/v1/topics/{filled}/records", json=records, headers={"Accept-Encoding": coding}
        )
        assert len(receipt.content) > 1024
        assert "content-encoding" not in receipt.headers


def test_nobody_asked(broker: BrokerProcess, page: str) -> None:
    answer = call(broker.url, "GET", page)
    assert "content-encoding" not in answer.headers
    assert len(answer.body) > 50_000


async def test_no_line_is_held_back() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    compressing = Compressing(send, [ZSTD, GZIP])
    start: dict[str, Any] = {"type": "http.response.start", "status": 200}
    await compressing.send({**start, "headers": [(b"content-type", LINES.encode())]})
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for part in (b"first\n", b"second\n"):
        await compressing.send({"type": "http.response.body", "body": part, "more_body": True})
        assert decoder.decompress(sent[-1]["body"]) == part
    await compressing.send({"type": "http.response.body", "body": b""})
    assert decoder.decompress(sent[-1]["body"]) == b""
    assert decoder.eof
