"""Connections that speak no Kafka: some are told of, the others counted, nothing else breaks."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import ConnectionClosed, Wire
from tidelog.api.refusals import TOLD_IN_FULL, Refusals

_LENGTH = struct.Struct(">i")
_LOG = logging.getLogger("tests.refused")
_FLOOD = 300


class Timers:
    """Runs what is due when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timers:
        assert delay_s == 60
        self.due.append(callback)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def minute_is_over(self) -> None:
        (callback,) = self.due
        callback()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def refused(timers: Timers, caplog: pytest.LogCaptureFixture) -> Refusals:
    caplog.set_level(logging.INFO, _LOG.name)
    return Refusals(_LOG, timers.call_later)


def test_a_few_are_told_in_full(
    refused: Refusals, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(TOLD_IN_FULL):
        refused.tell(f"host:{number}", "it is nonsense", f"{number} bytes")
    refused.tell("host:9", "another reason")
    timers.minute_is_over()
    told = [f"host:{n}: it is nonsense ({n} bytes); closing" for n in range(TOLD_IN_FULL)]
    assert caplog.messages == [*told, "host:9: another reason; closing"]


def test_the_others_are_counted_by_reason(
    refused: Refusals, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for reason, count in (("one", 1000), ("other", TOLD_IN_FULL + 1)):
        for _ in range(count):
            refused.tell("host", reason)
    assert len(caplog.messages) == 2 * TOLD_IN_FULL
    timers.minute_is_over()
    assert caplog.messages[2 * TOLD_IN_FULL :] == [
        f"{1000 - TOLD_IN_FULL} more connections like this were refused in the last minute: one",
        "1 more connections like this were refused in the last minute: other",
    ]


def test_each_minute_begins_anew(
    refused: Refusals, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        caplog.clear()
        for _ in range(100):
            refused.tell("host", "one")
        timers.minute_is_over()
        assert len(caplog.messages) == TOLD_IN_FULL + 1
    assert timers.due == []


def test_a_flood_does_not_fill_the_disk(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()
    host, port = broker.kafka.rsplit(":", 1)
    nonsense = (
        _LENGTH.pack(2**30),
        _LENGTH.pack(3),
        b"GET / HTTP/1.1\r\n\r\n",
        _LENGTH.pack(10) + struct.pack(">hhih", 999, 0, 1, -1),
        _LENGTH.pack(14) + struct.pack(">hhihi", 15, 0, 1, -1, -1),
    )
    for number in range(_FLOOD):
        data = nonsense[number % len(nonsense)]
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(data)
            assert connection.recv(1) == b""
    wire = Wire(broker.kafka)
    assert wire.ask("metadata", 1, topics=[])["brokers"]
    wire.close()
    broker.stop()
    lines = broker.stderr.splitlines()
    told = [line for line in lines if line.endswith("; closing")]
    counted = [line for line in lines if " more connections like this were refused" in line]
    assert len(told) == TOLD_IN_FULL * 4  # two of them are of one reason
    assert len(counted) == 4
    assert "Traceback" not in broker.stderr


def test_more_connections_than_allowed(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--set", "max.connections=1")
    first = Wire(broker.kafka)
    assert first.ask("metadata", 1, topics=[])["brokers"]
    for _ in range(20):
        second = Wire(broker.kafka)
        with pytest.raises((ConnectionClosed, BrokenPipeError)):
            second.ask("metadata", 1, topics=[])
        second.close()
    first.close()
    broker.stop()
    assert broker.stderr.count("there are too many connections; closing") == TOLD_IN_FULL
