"""What commands write and read: topics of one partition, looked at over HTTP."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import EndedBytes, tidelog_here

_numbers = itertools.count()


class WrittenTopics:
    """New topics with one partition on the shared broker, and what is stored in them."""

    def __init__(self, broker: BrokerProcess) -> None:
        self._http = broker.client()
        self._url = broker.url

    def new(self, partitions: int = 1) -> str:
        """The name of one more topic."""
        name = f"bytes-{next(_numbers)}"
        body = {"name": name, "partitions": partitions}
        self._http.post("/v1/topics", json=body).raise_for_status()
        return name

    def write(self, topic: str, records: list[dict[str, Any]]) -> None:
        """Records as the HTTP API takes them."""
        answer = self._http.post(f"/v1/topics/{topic}/records", json={"records": records})
        assert answer.status_code == 200, answer.text

    def records(self, topic: str) -> list[dict[str, Any]]:
        """All, with values in base64."""
        query = {"value": "base64", "max_records": 10_000}
        answer = self._http.get(f"/v1/topics/{topic}/partitions/0/records", params=query)
        found: list[dict[str, Any]] = answer.json()["records"]
        return found

    def end(self, topic: str) -> int:
        """How many records there are."""
        answer = self._http.get(f"/v1/topics/{topic}/offsets").json()
        return int(answer["offsets"][0]["offset"])

    def pairs(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """All keys and values."""
        keys: list[bytes | None] = []
        for one in self.records(topic):
            encoded = one.get("key_base64")
            text = None if one.get("key") is None else one["key"].encode()
            keys.append(text if encoded is None else base64.b64decode(encoded))
        return list(zip(keys, self.values(topic), strict=True))

    def values(self, topic: str) -> list[bytes | None]:
        """All, as they are stored."""
        return [
            base64.b64decode(one["value_base64"]) if "value_base64" in one else None
            for one in self.records(topic)
        ]

    def run(self, *arguments: str, stdin: bytes = b"", status: int = 0) -> EndedBytes:
        """A command that has to end with ``status``."""
        ended = tidelog_here(*arguments, "--server", self._url, stdin=stdin)
        assert ended.status == status, ended.stderr
        return ended

    def close(self) -> None:
        """Its connection."""
        self._http.close()
