"""kcat: librdkafka on the command line. It cannot set timestamps, and headers only per run."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Sequence

from tests.support.kafka_clients.contract import DEFAULTS, PATIENCE_S, Message, ProducerOptions

_KEY_END = b"\x1f"
_SHOWN = "%p %o %T %K %S %h\\n%k%s\\n"
_HEAD = re.compile(rb"(\d+) (\d+) (\d+) (-?\d+) (-?\d+) (.*)\n")


class KcatClient:
    name = "kcat"
    codecs = ("gzip", "snappy", "lz4", "zstd")

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def run(self, *arguments: str, send: bytes = b"") -> bytes:
        """What kcat prints. Raises AssertionError where it fails."""
        result = subprocess.run(
            ["kcat", "-b", self._bootstrap, *arguments],
            input=send,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def produce(
        self, topic: str, messages: Sequence[Message], options: ProducerOptions = DEFAULTS
    ) -> None:
        """One run of kcat for messages with the same headers and partition."""
        chosen = ["-z", options.codec] if options.codec != "none" else []
        if options.idempotent:
            chosen += ["-X", "enable.idempotence=true"]
        if options.java_partitioner:
            chosen += ["-X", "topic.partitioner=murmur2_random"]
        for (headers, partition), alike in itertools.groupby(
            messages, lambda message: (message.headers, message.partition)
        ):
            place = [] if partition is None else ["-p", str(partition)]
            for name, value in headers:
                place += ["-H", name if value is None else f"{name}={value.decode()}"]
            lines = [
                (message.key or b"") + _KEY_END + (message.value or b"") + b"\n"
                for message in alike
            ]
            # -Z: an empty key or value is null
            flags = ("-P", "-t", topic, "-Z", "-K", _KEY_END.decode())
            self.run(*flags, *chosen, *place, send=b"".join(lines))

    def consume(self, topic: str, count: int) -> list[Message]:
        shown = self.run("-C", "-t", topic, "-q", "-c", str(count), "-f", _SHOWN)
        return _parse(shown)

    def consume_as_member(self, topic: str, group: str, count: int) -> list[Message]:
        """The next ``count`` messages for a group, committed on leaving."""
        first = ("-X", "auto.offset.reset=earliest")
        return _parse(self.run("-G", group, "-q", "-c", str(count), *first, "-f", _SHOWN, topic))

    def close(self) -> None: ...


def _parse(shown: bytes) -> list[Message]:
    found, position = [], 0
    while head := _HEAD.match(shown, position):
        partition, offset, timestamp, key_size, value_size = map(int, head.groups()[:5])
        position = head.end()
        key, position = _field(shown, position, key_size)
        value, position = _field(shown, position, value_size)
        position += 1
        headers = tuple(map(_header, head[6].split(b","))) if head[6] else ()
        found.append(Message(value, key, headers, timestamp, partition, offset))
    assert position == len(shown), shown[position:]
    return found


def _field(shown: bytes, position: int, size: int) -> tuple[bytes | None, int]:
    if size < 0:
        return None, position
    return shown[position : position + size], position + size


def _header(shown: bytes) -> tuple[str, bytes | None]:
    name, _, value = shown.partition(b"=")
    return name.decode(), None if value == b"NULL" else value
