"""kafkajs, run by Node; ``kafkajs_driver.js`` does what lines of JSON say.

It is installed once for each machine, in the user's cache directory. Of the codecs it has gzip,
and snappy by a plugin.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.kafka_clients.contract import DEFAULTS, Message, ProducerOptions

PACKAGES = ("kafkajs@2.2.4", "kafkajs-snappy@1.1.0")
_DRIVER = Path(__file__).with_name("kafkajs_driver.js")


class KafkajsMissing(Exception):
    """Node or npm is not here, or the packages cannot be fetched."""


def install_kafkajs() -> Path:
    """The directory of ``node_modules``. Raises KafkajsMissing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise KafkajsMissing("Node and npm are not here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "tidelog-tests" / "-".join(PACKAGES).replace("@", "-")
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / ".installed"
        if not done.exists():
            flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
            result = subprocess.run(
                ["npm", "install", "--prefix", str(directory), *flags, *PACKAGES],
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                raise KafkajsMissing(f"npm cannot install kafkajs: {result.stderr}")
            done.touch()
    return directory / "node_modules"


class KafkajsClient:
    name = "kafkajs"
    codecs = ("gzip", "snappy")

    def __init__(self, bootstrap: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(_DRIVER), bootstrap],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "NODE_PATH": str(install_kafkajs()),
                "KAFKAJS_NO_PARTITIONER_WARNING": "1",
            },
        )

    def call(self, method: str, **arguments: Any) -> Any:
        """Let the driver do something and wait for its result. Raises AssertionError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"method": method, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or b'{"error":"Node ended"}')
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def produce(
        self, topic: str, messages: Sequence[Message], options: ProducerOptions = DEFAULTS
    ) -> None:
        sent = [_as_json(message) for message in messages]
        self.call(
            "produce",
            topic=topic,
            messages=sent,
            codec=options.codec,
            idempotent=options.idempotent,
        )

    def consume(self, topic: str, count: int) -> list[Message]:
        with self.session(topic, f"{topic}-readers") as session:
            return session.read(count)

    @contextmanager
    def session(self, topic: str, group: str) -> Iterator[KafkajsSession]:
        self.call("subscribe", topic=topic, group=group)
        try:
            yield KafkajsSession(self)
        finally:
            self.call("leave")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class KafkajsSession:
    """The driver has one at a time."""

    def __init__(self, client: KafkajsClient) -> None:
        self._client = client

    def read(self, count: int) -> list[Message]:
        return [_from_json(message) for message in self._client.call("read", count=count)]

    def commit(self) -> None:
        self._client.call("commit")

    def seek(self, partition: int, offset: int) -> None:
        self._client.call("seek", partition=partition, offset=offset)

    def pause(self, partition: int) -> None:
        self._client.call("pause", partition=partition)

    def resume(self, partition: int) -> None:
        self._client.call("resume", partition=partition)

    def offset_for_time(self, partition: int, timestamp_ms: int) -> int | None:
        found: int | None = self._client.call(
            "offsetForTime", partition=partition, timestamp=timestamp_ms
        )
        return found


def _as_json(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "key": _base64(message.key),
        "value": _base64(message.value),
        "headers": [[name, _base64(value)] for name, value in message.headers],
    }
    if message.partition is not None:
        fields["partition"] = message.partition
    if message.timestamp_ms is not None:
        fields["timestamp"] = str(message.timestamp_ms)
    return fields


def _from_json(fields: dict[str, Any]) -> Message:
    return Message(
        _bytes(fields["value"]),
        _bytes(fields["key"]),
        tuple((name, _bytes(value)) for name, value in fields["headers"]),
        int(fields["timestamp"]),
        fields["partition"],
        int(fields["offset"]),
    )


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
