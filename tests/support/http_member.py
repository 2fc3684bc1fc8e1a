"""A group member of the HTTP API as an application would write it: joins, polls, keeps a cursor."""

from __future__ import annotations

from typing import Any

import httpx


class HttpMember:
    """``cursor`` is that of the last answer; ``last`` the last answer to a poll."""

    def __init__(
        self, http: httpx.Client, group: str, *topics: str, key: str | None = None, **join: Any
    ) -> None:
        self._http = http
        self.group = group
        answer = http.post(
            f"/v1/groups/{group}/members",
            json={"topics": list(topics), **join},
            headers={} if key is None else {"Idempotency-Key": key},
        )
        assert answer.status_code == 201, answer.text
        self.joined: dict[str, Any] = answer.json()
        self.member_id: str = self.joined["member_id"]
        self.cursor: str = self.joined["cursor"]
        self.path = f"/v1/groups/{group}/members/{self.member_id}"
        self.last: dict[str, Any] = {}

    def post(self, call: str, **body: Any) -> httpx.Response:
        """``poll`` or ``commit`` with this body, whatever comes of it."""
        return self._http.post(f"{self.path}/{call}", json=body)

    def poll(self, **options: Any) -> list[dict[str, Any]]:
        """The next records; the cursor moves on."""
        answer = self.post("poll", cursor=self.cursor, **options)
        assert answer.status_code == 200, answer.text
        self.last = answer.json()
        self.cursor = self.last["cursor"]
        records: list[dict[str, Any]] = self.last["records"]
        return records

    def poll_until(self, partitions: set[int]) -> list[dict[str, Any]]:
        """Poll until the assignment is these partitions; all records of the way there."""
        records = []
        for _ in range(50):
            records += self.poll(wait_ms=200)
            if self.partitions == partitions and not self.last["rebalancing"]:
                return records
        raise AssertionError(f"{self.partitions} never became {partitions}")

    @property
    def partitions(self) -> set[int]:
        """Of the last answer's assignment, whatever the topic."""
        answer = self.last or self.joined
        return {one["partition"] for one in answer["assignment"]}

    def leave(self) -> None:
        answer = self._http.delete(self.path)
        assert answer.status_code == 204, answer.text


def places(records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Partition and offset of each record, in order of both."""
    return sorted((one["partition"], one["offset"]) for one in records)


def committed(http: httpx.Client, group: str) -> dict[int, int]:
    """What a group of one topic has committed, by partition."""
    offsets = http.get(f"/v1/groups/{group}/offsets").json()["offsets"]
    return {one["partition"]: one["offset"] for one in offsets}
