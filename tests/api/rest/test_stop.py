"""A stop answers what it holds, ends what is open, and leaves the directory clean."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.support.broker_process import BrokerProcess

EVENTS = {"Accept": "text/event-stream"}
CLEAN = ".kafka_cleanshutdown"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_and_waiting_polls(
    start_broker: Callable[..., BrokerProcess], number: signal.Signals
) -> None:
    broker = start_broker()
    path = "/v1/topics/t/partitions/0/records"
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1})
        http.post("/v1/topics/t/records", json={"records": [{"value": 1}]})
        with (
            broker.client() as first,
            broker.client() as second,
            first.stream("GET", path, headers=EVENTS) as one,
            second.stream("GET", "/v1/topics/t/records", headers=EVENTS) as all_partitions,
        ):
            streams = [one.iter_lines(), all_partitions.iter_lines()]
            for lines in streams:
                assert next(lines).startswith("id: ")
            poll = send(broker, f"{path}?offset=1&wait_ms=60000")
            http.get("/health/live").raise_for_status()
            broker.process.send_signal(number)
            broker.wait_for_clean_end()
            for lines in streams:
                assert [line for line in lines if line][1:] == []
            answer = poll.makefile("rb").read()
            poll.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'{"records":[],"next_offset":1' in answer
    assert (broker.data_dir / CLEAN).exists()
    assert "Traceback" not in broker.stderr


def send(broker: BrokerProcess, target: str) -> socket.socket:
    """A request on a connection of its own; the broker reads it before any that is sent later."""
    address = urlsplit(broker.url)
    assert address.hostname is not None
    connection = socket.create_connection((address.hostname, address.port or 80), timeout=30)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return connection


def test_a_body_under_way_is_answered(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()
    arrived, stopping = threading.Event(), threading.Event()

    def body() -> object:
        yield b'{"value":1}\n'
        arrived.set()
        assert stopping.wait(30)
        yield b'{"value":2}\n'

    with broker.client() as http, ThreadPoolExecutor(1) as pool:
        http.post("/v1/topics", json={"name": "t", "partitions": 1})
        headers = {"Content-Type": "application/x-ndjson"}
        sent = pool.submit(http.post, "/v1/topics/t/records", content=body(), headers=headers)
        assert arrived.wait(30)
        with broker.client() as other:
            other.get("/health/live").raise_for_status()
        broker.process.send_signal(signal.SIGTERM)
        stopping.set()
        lines = sent.result(30).text.splitlines()
    broker.wait_for_clean_end()
    assert (broker.data_dir / CLEAN).exists()
    broker.start()
    with broker.client() as http:
        kept = http.get("/v1/topics/t/partitions/0/records").json()["records"]
    assert len(kept) == len([line for line in lines if '"offset"' in line]) == 2


def test_a_killed_broker_leaves_no_mark(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()
    assert not (broker.data_dir / CLEAN).exists()
    broker.restart()
    broker.kill()
    assert not (broker.data_dir / CLEAN).exists()


def test_an_idle_stream_is_kept_alive(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--set", "http.heartbeat.interval.ms=10")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1})
        path = "/v1/topics/t/partitions/0/records"
        with http.stream("GET", path, headers=EVENTS) as response:
            lines = response.iter_lines()
            assert [next(lines) for _ in range(4)] == [": heartbeat", ""] * 2
