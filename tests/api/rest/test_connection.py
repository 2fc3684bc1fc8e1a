"""Connections as clients of all kinds use them: old ones, half-closed ones, broken ones."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.raw_http import Answer, connected, exchange, read_answer

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIA"
WEBSOCKET = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def request(
    method: str, target: str, body: bytes = b"", *fields: str, version: str = "1.1"
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *fields]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def produce(topic: str, value: object, *fields: str, version: str = "1.1") -> bytes:
    body = json.dumps({"records": [{"value": value}]}).encode()
    return request("POST", f"/v1/topics/{topic}/records", body, *fields, version=version)


class Conversation:
    """One connection, and the replies that come on it."""

    def __init__(self, connection: socket.socket, stream: BinaryIO) -> None:
        self.connection = connection
        self.stream = stream

    def send(self, *sent: bytes) -> None:
        self.connection.sendall(b"".join(sent))

    def answer(self, method: str = "GET") -> Answer:
        answer = read_answer(self.stream, method)
        assert answer is not None, "the connection has ended"
        return answer

    def close_half(self) -> None:
        self.connection.shutdown(socket.SHUT_WR)

    @property
    def has_ended(self) -> bool:
        return self.stream.read() == b""


@pytest.fixture
def talk(broker: BrokerProcess) -> Iterator[Conversation]:
    with connected(broker.url) as connection, connection.makefile("rb") as stream:
        yield Conversation(connection, stream)


class TestOffersOfOtherProtocols:
    @pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
    def test_the_body_is_read_and_the_connection_goes_on(
        self, talk: Conversation, single: str, offer: str
    ) -> None:
        for offset in range(3):
            talk.send(produce(single, offset, offer))
            answer = talk.answer()
            assert answer.status == 200
            assert answer.json["records"][0]["offset"] == offset
            assert "upgrade" not in answer.headers
            assert answer.headers.get("connection") != "close"

    @pytest.mark.parametrize("offer", [H2C, WEBSOCKET])
    def test_without_a_body(self, talk: Conversation, offer: str) -> None:
        talk.send(request("GET", "/health/live", b"", offer), LIVE)
        assert [talk.answer().status for _ in range(2)] == [200, 200]

    def test_in_pieces_between_other_requests(self, talk: Conversation, single: str) -> None:
        talk.send(LIVE, produce(single, 1, H2C)[:-9])
        assert talk.answer().status == 200
        talk.send(produce(single, 1, H2C)[-9:], LIVE)
        assert talk.answer().json["records"][0]["offset"] == 0
        assert talk.answer().json["status"]

    def test_with_a_body_in_chunks(self, talk: Conversation, single: str) -> None:
        body = b'{"records":[{"value":1}]}'
        chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked", H2C)
        head = request("POST", f"/v1/topics/{single}/records", b"", *chunked)
        talk.send(head, b"%x\r\n%b\r\n" % (len(body), body), b"0\r\n\r\n", LIVE)
        assert talk.answer().json["records"][0]["offset"] == 0
        assert talk.answer().status == 200

    def test_with_the_end_of_the_connection(self, talk: Conversation) -> None:
        offer = H2C.replace("Connection: ", "Connection: close, ")
        talk.send(request("GET", "/health/live", b"", offer))
        assert talk.answer().headers["connection"] == "close"
        assert talk.has_ended

    def test_prior_knowledge_of_http_2(self, talk: Conversation) -> None:
        talk.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 9)
        assert (talk.answer().code, talk.has_ended) == ("invalid_http", True)


class TestOldClients:
    """Of HTTP/1.0 (RFC 1945): no chunks, no Host, one request a connection."""

    @pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",)])
    def test_a_reply_of_known_length(
        self, talk: Conversation, single: str, fields: tuple[str, ...]
    ) -> None:
        talk.send(produce(single, 1, *fields, version="1.0"))
        answer = talk.answer()
        assert answer.json["records"][0]["offset"] == 0
        assert answer.headers["connection"] == "close"
        assert talk.has_ended

    @pytest.mark.parametrize("path", ["/records", "/partitions/0/records"])
    def test_lines(self, talk: Conversation, http: httpx.Client, single: str, path: str) -> None:
        records = [{"value": n} for n in range(2000)]
        http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
        target = f"GET /v1/topics/{single}{path} HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n"
        talk.send(target.encode())
        answer = talk.answer()
        assert "transfer-encoding" not in answer.headers
        assert [json.loads(line)["value"] for line in answer.body.splitlines()] == [*range(2000)]

    def test_lines_of_a_reply_to_lines(self, talk: Conversation, single: str) -> None:
        body = b'{"value":1}\n{"value":2}\n'
        head = request(
            *("POST", f"/v1/topics/{single}/records", b"", "Content-Type: application/x-ndjson"),
            f"Content-Length: {len(body)}",
            version="1.0",
        )
        talk.send(head, body)
        lines = talk.answer().body.splitlines()
        assert [json.loads(line)["offset"] for line in lines] == [0, 1]

    def test_events(self, talk: Conversation, http: httpx.Client, single: str) -> None:
        talk.send(
            request(
                "GET", f"/v1/topics/{single}/records", b"", "Accept: text/event-stream"
            ).replace(b"HTTP/1.1", b"HTTP/1.0")
        )
        head = b"".join(iter(talk.stream.readline, b"\r\n")).lower()
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        http.post(f"/v1/topics/{single}/records", json={"records": [{"value": 7}]})
        assert talk.stream.readline().startswith(b"id: ")
        assert b'"value":7' in talk.stream.readline()

    def test_nobody_tells_it_to_continue(self, talk: Conversation, single: str) -> None:
        talk.send(produce(single, 1, "Expect: 100-continue", version="1.0"))
        assert talk.answer().status == 200


class TestHalfClosed:
    """A client that has said all it has to say may still read."""

    def test_gets_its_answer(self, talk: Conversation, single: str) -> None:
        talk.send(produce(single, 1))
        talk.close_half()
        assert talk.answer().json["records"][0]["offset"] == 0
        assert talk.has_ended

    def test_gets_all_its_answers(self, talk: Conversation, single: str) -> None:
        talk.send(*(produce(single, n) for n in range(5)))
        talk.close_half()
        offsets = [talk.answer().json["records"][0]["offset"] for _ in range(5)]
        assert offsets == [0, 1, 2, 3, 4]
        assert talk.has_ended

    def test_waits_for_what_comes(
        self, talk: Conversation, http: httpx.Client, single: str
    ) -> None:
        talk.send(request("GET", f"/v1/topics/{single}/partitions/0/records?wait_ms=60000"))
        talk.close_half()
        http.post(f"/v1/topics/{single}/records", json={"records": [{"value": 7}]})
        assert [one["value"] for one in talk.answer().json["records"]] == [7]

    def test_reads_events(self, talk: Conversation, http: httpx.Client, single: str) -> None:
        accept = "Accept: text/event-stream"
        talk.send(request("GET", f"/v1/topics/{single}/records", b"", accept))
        talk.close_half()
        while talk.stream.readline() != b"\r\n":
            pass
        for value in (1, 2):
            http.post(f"/v1/topics/{single}/records", json={"records": [{"value": value}]})
            event = b"".join(talk.stream.readline() for _ in range(5))
            assert b'"value":%d' % value in event

    def test_a_member_is_answered_with_its_next_heartbeat(
        self, start_broker: Callable[..., BrokerProcess]
    ) -> None:
        """It may have gone: nobody is kept in a group for it."""
        broker = start_broker(
            *("--set", "group.consumer.min.heartbeat.interval.ms=100"),
            *("--set", "group.consumer.heartbeat.interval.ms=100"),
        )
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 1})
            path = "/v1/groups/half/members"
            joined = http.post(path, json={"topics": ["t"]}).json()
        body = json.dumps({"cursor": joined["cursor"], "wait_ms": 60_000}).encode()
        with connected(broker.url) as connection, connection.makefile("rb") as stream:
            connection.sendall(request("POST", f"{path}/{joined['member_id']}/poll", body))
            connection.shutdown(socket.SHUT_WR)
            answer = read_answer(stream)
        assert answer is not None
        assert answer.json["records"] == []

    @pytest.mark.parametrize("sent", [b"GET / HT", LIVE[:-2], LIVE + LIVE[:-2]])
    def test_in_the_middle_of_a_head(self, talk: Conversation, sent: bytes) -> None:
        talk.send(sent)
        talk.close_half()
        if sent.startswith(LIVE):
            assert talk.answer().status == 200
        answer = talk.answer()
        assert (answer.status, answer.code) == (400, "invalid_http")
        assert talk.has_ended

    @pytest.mark.parametrize("path", ["/v1/topics", "/v1/topics/{}/records"])
    def test_in_the_middle_of_a_body(
        self, broker: BrokerProcess, talk: Conversation, http: httpx.Client, single: str, path: str
    ) -> None:
        talk.send(request("POST", path.format(single), b'{"records":[{"value":1}]}')[:-3])
        talk.close_half()
        answer = talk.answer()
        assert (answer.status, answer.code) == (400, "invalid_http")
        assert talk.has_ended
        assert http.get(f"/v1/topics/{single}/records").json()["records"] == []
        assert "Traceback" not in broker.stderr

    def test_before_it_said_anything(self, talk: Conversation) -> None:
        talk.close_half()
        assert talk.has_ended


class TestPipelines:
    def test_answers_come_in_order(self, talk: Conversation, single: str) -> None:
        paths = [f"/v1/topics/{single}", "/health/live", "/nowhere", f"/v1/topics/{single}/records"]
        talk.send(*(request(method, path) for path in paths for method in ("GET", "HEAD")))
        for path in paths:
            for method in ("GET", "HEAD"):
                assert talk.answer(method).status == (404 if path == "/nowhere" else 200)

    def test_a_body_that_comes_later(self, talk: Conversation, single: str) -> None:
        head, _, body = produce(single, 1).partition(b"\r\n\r\n")
        talk.send(LIVE, head, b"\r\n\r\n")
        assert talk.answer().status == 200
        talk.send(body, LIVE)
        assert talk.answer().json["records"][0]["offset"] == 0
        assert talk.answer().status == 200

    def test_a_bad_request_is_answered_in_its_turn(self, talk: Conversation, single: str) -> None:
        talk.send(produce(single, 1), produce(single, 2), b"nonsense\r\n\r\n", LIVE)
        assert [talk.answer().json["records"][0]["offset"] for _ in range(2)] == [0, 1]
        answer = talk.answer()
        assert (answer.status, answer.code) == (400, "invalid_http")
        assert answer.headers["connection"] == "close"
        assert talk.has_ended

    def test_behind_a_long_poll(self, talk: Conversation, http: httpx.Client, single: str) -> None:
        talk.send(request("GET", f"/v1/topics/{single}/partitions/0/records?wait_ms=60000"), LIVE)
        http.post(f"/v1/topics/{single}/records", json={"records": [{"value": 7}]})
        assert len(talk.answer().json["records"]) == 1
        assert talk.answer().json["status"]

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.integers(1, 400), max_size=8))
    def test_in_pieces_of_any_size(
        self, broker: BrokerProcess, single: str, sizes: list[int]
    ) -> None:
        """Whatever is cut where, the same requests are read."""
        chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        sent = b"".join(
            (
                produce(single, 1),
                produce(single, 2, H2C),
                request("POST", f"/v1/topics/{single}/records", b"", *chunked),
                b'9\r\n{"records\r\n10\r\n":[{"value":3}]}\r\n0\r\n\r\n',
                LIVE,
            )
        )
        with connected(broker.url) as connection, connection.makefile("rb") as stream:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for size in sizes:
                connection.sendall(sent[:size])
                sent = sent[size:]
            connection.sendall(sent)
            answers = [read_answer(stream) for _ in range(4)]
        assert [answer.status for answer in answers if answer] == [200] * 4


class TestTargets:
    def test_a_whole_url(self, broker: BrokerProcess, talk: Conversation) -> None:
        for url in (broker.url, "http://localhost", "HTTP://127.0.0.1:1"):
            talk.send(request("GET", f"{url}/v1/topics?limit=1"))
            assert "topics" in talk.answer().json

    def test_its_host_counts(self, talk: Conversation) -> None:
        talk.send(request("GET", "http://evil.example/v1/topics"))
        assert talk.answer().code == "foreign_host"

    def test_the_server_itself(self, talk: Conversation) -> None:
        talk.send(request("OPTIONS", "*"))
        answer = talk.answer()
        assert answer.status == 204
        assert {"GET", "HEAD", "POST"} <= set(answer.headers["allow"].split(", "))
        talk.send(request("GET", "*"))
        assert talk.answer().code == "not_found"

    @pytest.mark.parametrize(
        "target", ["//v1/topics", "/v1/../v1/topics", "/v1//topics", "/;", "/?"]
    )
    def test_no_segment_is_dropped(self, talk: Conversation, target: str) -> None:
        talk.send(request("GET", target))
        assert talk.answer().status == (200 if target == "/?" else 404)

    def test_a_fragment_is_not_ours(self, talk: Conversation) -> None:
        talk.send(request("GET", "/health/live#there"))
        assert talk.answer().json["status"]


HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "invalid_http"),
        (b"FROB / HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"get / HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET / HTTP/1.2\r\n\r\n", 400, "invalid_http"),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "unsupported_version"),
        (b"GET /\r\n\r\n", 505, "unsupported_version"),
        (b"GET / FTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET topics HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (b"GET ftp://localhost/ HTTP/1.1\r\n\r\n", 400, "invalid_target"),
        (b"GET http:/// HTTP/1.1\r\n\r\n", 400, "invalid_target"),
        (b"GET /% HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400, "invalid_path"),
        (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 405, "method_not_allowed"),
        (HEAD + b"X: \x00\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"X : y\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"X: y\r\n z\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"no colon\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: x\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: +1\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "invalid_http"),
        (HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431, "header_too_large"),
        (HEAD + b"X: y\r\n" * 20_000 + b"\r\n", 431, "header_too_large"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431, "header_too_large"),
        (b"\r\n" * 50_000, 431, "header_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_http"),
        (b"\x00\x00\x00\x12\x00\x12\x00\x00", 400, "invalid_http"),
    ],
)
def test_what_is_no_request(broker: BrokerProcess, sent: bytes, status: int, code: str) -> None:
    answer = exchange(broker.url, sent)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]
    assert "Traceback" not in broker.stderr


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Transfer-Encoding: chunked"], b"zz\r\n"),
        (["Transfer-Encoding: chunked"], b'3\r\n{"re\r\n'),
        (["Transfer-Encoding: gzip"], b"xxx"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/topics", "/v1/topics/{}/records"])
def test_a_body_that_is_none(
    broker: BrokerProcess,
    talk: Conversation,
    single: str,
    path: str,
    fields: list[str],
    body: bytes,
) -> None:
    fields = [*fields, "Content-Type: application/json", "X-Request-Id: mine"]
    talk.send(request("POST", path.format(single), b"", *fields), body)
    answer = talk.answer()
    assert (answer.status, answer.code) == (400, "invalid_http")
    assert answer.headers["x-request-id"] == "mine"
    assert talk.has_ended
    assert "Traceback" not in broker.stderr


class TestExpectations:
    def test_the_body_is_asked_for(self, talk: Conversation, single: str) -> None:
        sent = produce(single, 1, "Expect: 100-continue")
        head, _, body = sent.partition(b"\r\n\r\n")
        talk.send(head, b"\r\n\r\n")
        assert talk.answer().status == 100
        talk.send(body)
        assert talk.answer().json["records"][0]["offset"] == 0
        talk.send(LIVE)
        assert talk.answer().status == 200

    def test_a_body_that_is_not_wanted(self, talk: Conversation) -> None:
        """Whether it comes nobody knows, so that the connection cannot go on."""
        head = produce("no~name", 1, "Expect: 100-continue").partition(b"\r\n\r\n")[0]
        talk.send(head, b"\r\n\r\n")
        answer = talk.answer()
        assert (answer.status, answer.headers["connection"]) == (404, "close")
        talk.send(LIVE)
        assert talk.has_ended


@pytest.mark.parametrize("path", ["/v1/topics", "/v1/topics/{}/records"])
@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_too_much_still_reads_the_answer(
    start_broker: Callable[..., BrokerProcess], path: str, chunked: bool
) -> None:
    """A client that reads no answer before it has sent everything."""
    broker = start_broker("--set", "http.max.body.bytes=1000000")
    with broker.client() as client:
        client.post("/v1/topics", json={"name": "t", "partitions": 1})
    size, piece = 32 * 1024 * 1024, bytes(1024 * 1024)
    body: Any = (piece for _ in range(size // len(piece)))
    length = {} if chunked else {"Content-Length": str(size)}
    address = urlsplit(broker.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Content-Type": "application/json", **length}
    connection.request("POST", path.format("t"), body, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "body_too_large"
    connection.close()
