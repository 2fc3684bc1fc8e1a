"""Every client by its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.kafka_clients.aio import AiokafkaClient
from tests.support.kafka_clients.confluent import ConfluentClient
from tests.support.kafka_clients.contract import KafkaClient
from tests.support.kafka_clients.kafka_python import KafkaPythonClient
from tests.support.kafka_clients.kafkajs import KafkajsClient, KafkajsMissing
from tests.support.kafka_clients.kcat import KcatClient

CLIENTS: dict[str, Callable[[str], KafkaClient]] = {
    client.name: client
    for client in (ConfluentClient, KafkaPythonClient, AiokafkaClient, KafkajsClient, KcatClient)
}
WITH_SESSIONS = [name for name in CLIENTS if name != KcatClient.name]
"""kcat, a program, cannot be told anything once it runs."""


class OpenClients:
    """Clients of one broker, each started when it is first asked for."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._open: dict[str, KafkaClient] = {}

    def __getitem__(self, name: str) -> KafkaClient:
        """Skips the test where the client is not here."""
        if name not in self._open:
            if name == KcatClient.name and shutil.which("kcat") is None:
                pytest.skip("kcat is not here")
            try:
                self._open[name] = CLIENTS[name](self._bootstrap)
            except KafkajsMissing as error:
                pytest.skip(str(error))
        return self._open[name]

    def close(self) -> None:
        for client in self._open.values():
            client.close()
