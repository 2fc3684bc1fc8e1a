"""URLs of brokers as people write them, and what may answer there: one sentence for each."""

from __future__ import annotations

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import tidelog, tidelog_here
from tests.support.foreign_server import ForeignServer
from tidelog.api.cli.client import Client

NOBODY = "http://127.0.0.1:1"
COMMANDS = [
    ("topic", "list"),
    ("group", "show", "g"),
    ("consume", "t"),
    ("consume", "t", "--group", "g"),
    ("replay", "t"),
    ("produce", "t", "value"),
]


def answer(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def test_nobody_answers() -> None:
    ended = tidelog("consume", "t", variables={"TIDELOG_SERVER": NOBODY})
    assert ended.status == 1
    assert f"no broker answers at {NOBODY}" in ended.stderr
    assert "tidelog serve" in ended.stderr


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ("//127.0.0.1:8082", 2),
        ("http://", 2),
        ("http:///v1", 2),
        ("http://a b:8082", 2),
        (f"{NOBODY} ", 2),
        (f" {NOBODY}", 2),
        (f"{NOBODY}\n", 2),
        ("http://::1:8082", 2),
        ("http://[::1", 2),
        ("http://127.0.0.1:port", 2),
        ("http://127.0.0.1:99999", 2),
        ("http://127.0.0.1:-1", 2),
        ("ftp://127.0.0.1:1", 2),
        ("http://user:word@127.0.0.1:1", 2),
        (f"{NOBODY}?a=b", 2),
        (f"{NOBODY}#a", 2),
        ("http://\udcff", 2),
        (f"{NOBODY}/\udcff", 2),
        ("127.0.0.1:1", 1),
        ("https://127.0.0.1:1", 1),
        ("http://[::1]:1", 1),
        (f"{NOBODY}/", 1),
        (f"{NOBODY}/prefix/", 1),
        ("http://a..b", 1),
        ("http://" + "a" * 80, 1),
        ("http://127.0.0.1:0", 1),
    ],
)
def test_urls_of_no_broker(server: str, status: int) -> None:
    for words in COMMANDS:
        ended = tidelog_here(*words, "--server", server)
        assert (ended.status, ended.stdout) == (status, b"")
        assert ended.stderr.startswith("tidelog: ")
        assert ended.stderr.count("\n") == 1


def test_a_path_below_which_the_broker_is_served(broker: BrokerProcess) -> None:
    """A proxy may take it away; the broker itself knows no such path."""
    assert tidelog_here("topic", "list", "--server", f"{broker.url}/").status == 0
    ended = tidelog_here("topic", "list", "--server", f"{broker.url}/prefix/")
    assert (ended.status, ended.stdout) == (1, b"")
    with ForeignServer(answer(b'{"topics":[],"next_page_token":null}')) as proxy:
        assert tidelog_here("topic", "list", "--server", f"{proxy.url}/a/b").status == 0


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x00\x00\x04",
        answer(b"<html>\n<h1>It works!</h1>\n</html>\n"),
        answer(b"<html>\n<h1>Not Found</h1>\n</html>\n", "404 Not Found"),
        answer(b"", "502 Bad Gateway"),
        answer(b"", "301 Moved Permanently", "Location: https://example.org/\r\n"),
        answer(b'{"detail":"Not Found"}', "404 Not Found"),
        answer(b'{"error":"Not Found"}', "404 Not Found"),
        answer(b'{"error":{"code":1}}', "404 Not Found"),
        answer(b'{"tagline":"You Know, for Search"}'),
        answer(b"[" * 100_000, "400 Bad Request"),
        answer(b"[" * 100_000),
        answer(b"\xff"),
        answer(b"{}")[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    ],
)
def test_what_is_no_broker(foreign: bytes) -> None:
    with ForeignServer(foreign) as server:
        for words in COMMANDS:
            ended = tidelog_here(*words, "--server", server.url)
            assert (ended.status, ended.stdout) == (1, b""), words
            assert ended.stderr.startswith("tidelog: ")
            assert ended.stderr.count("\n") == 1


def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    no_topics = answer(b'{"topics":[],"next_page_token":null}')
    with ForeignServer(no_topics) as server, Client(server.url) as client:
        for count in range(1, 4):
            assert client.every("topics") == []
            assert server.closed.wait(60)
            server.closed.clear()
            assert server.connections == count
