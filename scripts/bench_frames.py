"""Ready-made Produce requests: the client that costs nothing, so that only the broker is measured.

A batch is encoded once and sent over and over on one connection, a few requests under way at a
time, as clients do. Version 7 of the request, one partition in each.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Iterator

from tidelog.storage.record_batch import HEADER_SIZE, encode_batch

UNDER_WAY = 5
_RECORD_OVERHEAD = 8
_LENGTH = struct.Struct(">i")


def records_in(batch_bytes: int, record_bytes: int) -> int:
    """How many records of a size fit a batch."""
    return (batch_bytes - HEADER_SIZE) // (record_bytes + _RECORD_OVERHEAD)


def _frames(
    topic: str, partitions: int, records: int, record_bytes: int, acks: str
) -> Iterator[bytes]:
    """A request for each partition."""
    now_ms = time.time_ns() // 1_000_000
    value = bytes(97 + n % 26 for n in range(record_bytes))
    batch = bytes(encode_batch([(now_ms, None, value, ())] * records))
    name = topic.encode()
    for partition in range(partitions):
        request = b"".join(
            (
                struct.pack(">hhih5sh", 0, 7, 1, 5, b"bench", -1),
                struct.pack(">hi", -1 if acks == "all" else int(acks), 30_000),
                struct.pack(f">ih{len(name)}s", 1, len(name), name),
                struct.pack(">iii", 1, partition, len(batch)),
                batch,
            )
        )
        yield _LENGTH.pack(len(request)) + request


class FrameSender:
    """One connection to a broker; ``send`` returns how long it took."""

    def __init__(self, address: str, topic: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self._topic = topic

    def send(
        self, batches: int, partitions: int, records: int, record_bytes: int, acks: str
    ) -> float:
        """Seconds for all batches, to the partitions in turn. Raises OSError for an error."""
        frames = deque(_frames(self._topic, partitions, records, record_bytes, acks))
        begin = time.perf_counter()
        for number in range(batches):
            if number >= UNDER_WAY:
                self._take_reply()
            self._socket.sendall(frames[0])
            frames.rotate(-1)
        for _ in range(min(batches, UNDER_WAY)):
            self._take_reply()
        return time.perf_counter() - begin

    def _take_reply(self) -> None:
        (size,) = _LENGTH.unpack(self._replies.read(_LENGTH.size))
        reply = self._replies.read(size)
        # After the correlation id: one topic with its name, one partition with its index.
        (code,) = struct.unpack_from(">h", reply, 18 + len(self._topic))
        if code:
            raise OSError(f"the broker answers with error {code}")

    def close(self) -> None:
        self._replies.close()
        self._socket.close()
