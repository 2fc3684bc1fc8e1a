"""Clients that cost next to nothing, so that only the broker is measured.

To produce, a batch is encoded once and sent over and over on one connection, a few requests under
way at a time, as clients do: version 7 of the request, one partition in each. To consume, all
partitions are asked for in each request, version 4, and of the answer only the headers of the
batches are looked at, for where to go on.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Iterator

from tidelog.storage.batches.record_batch import HEADER_SIZE, encode_batch

UNDER_WAY = 5
_PARTITION_MAX_BYTES = 1024 * 1024
_RESPONSE_MAX_BYTES = 50 * 1024 * 1024
_BATCH = struct.Struct(">qi11xi")
"""Base offset, length and last offset delta of a batch."""
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


class FrameReader:
    """One connection to a broker; ``read`` returns how long it took."""

    def __init__(self, address: str, topic: str, partitions: int) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._topic = topic.encode()
        self._offsets = [0] * partitions
        self._reply = memoryview(bytearray(_RESPONSE_MAX_BYTES))

    def read(self, records: int) -> float:
        """Seconds until so many records have come. Raises OSError for an error."""
        begin = time.perf_counter()
        while sum(self._offsets) < records:
            self._socket.sendall(self._request())
            self._take_reply()
        return time.perf_counter() - begin

    def _request(self) -> bytes:
        name, count = self._topic, len(self._offsets)
        request = b"".join(
            (
                struct.pack(">hhih5s", 1, 4, 1, 5, b"bench"),
                struct.pack(">iiiib", -1, 500, 1, _RESPONSE_MAX_BYTES, 0),
                struct.pack(f">ih{len(name)}si", 1, len(name), name, count),
                *(
                    struct.pack(">iqi", partition, offset, _PARTITION_MAX_BYTES)
                    for partition, offset in enumerate(self._offsets)
                ),
            )
        )
        return _LENGTH.pack(len(request)) + request

    def _take_reply(self) -> None:
        self._receive(_LENGTH.size)
        (size,) = _LENGTH.unpack_from(self._reply)
        self._receive(size)
        # After the correlation id and the throttle time: one topic with its name.
        position = 14 + len(self._topic)
        (count,) = struct.unpack_from(">i", self._reply, position)
        position += 4
        for _ in range(count):
            partition, code, aborted = struct.unpack_from(">ih16xi", self._reply, position)
            if code:
                raise OSError(f"the broker answers with error {code}")
            position += 26 + 16 * max(aborted, 0)
            (size,) = _LENGTH.unpack_from(self._reply, position)
            position += _LENGTH.size
            self._note_batches(partition, position, position + size)
            position += size

    def _note_batches(self, partition: int, position: int, end: int) -> None:
        while position + _BATCH.size <= end:
            base_offset, length, last_delta = _BATCH.unpack_from(self._reply, position)
            position += 12 + length
            if position <= end:
                self._offsets[partition] = base_offset + last_delta + 1

    def _receive(self, size: int) -> None:
        """Put so many bytes at the beginning of the buffer."""
        got = 0
        while got < size:
            count = self._socket.recv_into(self._reply[got:size])
            if not count:
                raise ConnectionError("the broker has closed the connection")
            got += count

    def close(self) -> None:
        self._socket.close()
