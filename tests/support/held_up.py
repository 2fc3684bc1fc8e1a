"""A directory whose recovery is held up, until a test lets it go on.

A pipe stands where a log's file of leader epochs should be.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.broker_process import BrokerProcess, command, environment

EPOCHS = Path("t-1") / "leader-epoch-checkpoint"


class HeldUp:
    """A directory of three partitions, left by ``kill -9``, the second of which has a pipe."""

    def __init__(self, broker: BrokerProcess) -> None:
        with broker.client() as http:
            http.post("/v1/topics", json={"name": "t", "partitions": 3}).raise_for_status()
            records = [{"value": n, "partition": n} for n in range(3)]
            answer = http.post("/v1/topics/t/records", json={"records": records})
            answer.raise_for_status()
        broker.kill()
        self.broker = broker
        self.http, self.kafka = urlsplit(broker.url).netloc, broker.kafka
        self.data_dir = broker.data_dir
        self.pipe = self.data_dir / EPOCHS
        self.epochs = self.pipe.read_bytes()
        self.pipe.unlink()
        os.mkfifo(self.pipe)

    @contextmanager
    def start(self, *flags: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A broker at the addresses that the first one had."""
        addresses = ("--http", self.http, "--kafka", self.kafka)
        with subprocess.Popen(
            command(self.data_dir, *addresses, *flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(variables),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def answers(self, process: subprocess.Popen[bytes]) -> httpx.Client:
        """A client, once the port is open."""
        host, port = self.http.split(":")
        while process.poll() is None:
            try:
                socket.create_connection((host, int(port))).close()
            except ConnectionRefusedError:
                continue
            return httpx.Client(base_url=f"http://{self.http}", timeout=60)
        raise AssertionError(process.communicate()[1].decode())

    def let_go_on(self, process: subprocess.Popen[bytes]) -> None:
        """Once recovery is there, unless it ends before."""
        while process.poll() is None:
            try:
                pipe = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                # Nobody reads yet.
                continue
            os.write(pipe, self.epochs)
            os.close(pipe)
            return
