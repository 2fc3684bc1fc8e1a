"""What is sent: bytes and slices of files in their order, however slowly they are taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from tests.support.faulty_disk import FaultyDisk
from tidelog.api.kafka.outbox import Outbox
from tidelog.api.kafka.wire.framing import Part
from tidelog.storage.buffers import Buffer
from tidelog.storage.files import File, FileSlice

Loop = Callable[[], asyncio.AbstractEventLoop]
FILE_BYTES = 5_000_000


class Sending(asyncio.Protocol):
    """One end of a connection: sends through an outbox."""

    def __init__(self, readers: ThreadPoolExecutor) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        self._readers = readers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.outbox = Outbox(transport, self._readers, lambda: None)  # type: ignore[arg-type]

    def resume_writing(self) -> None:
        self.outbox.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.outbox.drop()
        self.lost.set_result(None)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    made: Loop = request.param
    return made


@pytest.fixture
def readers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    return FaultyDisk(tmp_path)


@pytest.fixture
def content() -> bytes:
    return random.Random(1).randbytes(FILE_BYTES)


@pytest.fixture
def file(disk: FaultyDisk, content: bytes) -> File:
    file = disk.open(f"{disk.root}/file")
    file.append(content)
    return file


def sent(loop: Loop, readers: ThreadPoolExecutor, send: Callable[[Outbox], None]) -> bytes:
    """What comes out of the other end, until it is closed."""

    def receive() -> bytes:
        received = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while chunk := ours.recv(1 << 20):
                received += chunk
        return bytes(received)

    async def run() -> bytes:
        now = asyncio.get_running_loop()
        _, sending = await now.create_connection(lambda: Sending(readers), sock=theirs)
        send(sending.outbox)
        received = await now.run_in_executor(receiver, receive)
        await sending.lost
        return received

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket() as ours,
        ThreadPoolExecutor(1) as receiver,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        # Small, so that the other end has to wait again and again.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        return runner.run(run())


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("seed", range(5))
def test_parts_arrive_whole_and_in_order(
    loop: Loop,
    readers: ThreadPoolExecutor,
    disk: FaultyDisk,
    file: File,
    content: bytes,
    cold: bool,
    seed: int,
) -> None:
    source = random.Random(seed)
    disk.cold = cold
    expected = bytearray()

    def part() -> Part:
        if source.random() < 0.5:
            data = source.randbytes(source.choice((1, 40, 20_000, 300_000)))
            expected.extend(data)
            return data
        start = source.randrange(FILE_BYTES)
        size = min(source.choice((1, 70_000, 1_048_576, 3_000_000)), FILE_BYTES - start)
        expected.extend(content[start : start + size])
        return FileSlice(file, start, size)

    def send(outbox: Outbox) -> None:
        for _ in range(4):
            outbox.send([part() for _ in range(source.randint(1, 5))])
        outbox.close()

    assert sent(loop, readers, send) == expected


class BrokenFile(File):
    """A file whose disk has to be waited for, in vain."""

    def _read_into(self, buffer: bytearray, position: int) -> int:
        raise BlockingIOError(errno.EAGAIN, "cold")

    def read_at(self, position: int, size: int) -> Buffer:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_cannot_be_read_cuts_the_client_off(
    loop: Loop,
    readers: ThreadPoolExecutor,
    disk: FaultyDisk,
    file: File,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = BrokenFile(file.path, os.open(file.path, os.O_RDONLY))
    for bad in (FileSlice(broken, 0, 100_000), FileSlice(file, FILE_BYTES - 10, 11)):
        caplog.clear()
        with caplog.at_level(logging.ERROR, "tidelog.kafka"):
            received = sent(loop, readers, lambda outbox, bad=bad: outbox.send([b"head", bad]))
        assert len(received) <= len(b"head") + 10
        assert "could not be sent to its end" in caplog.text
