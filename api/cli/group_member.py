"""A command that takes part in a group: it joins, polls with its cursor, commits and leaves."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tidelog.api.cli.client import Client, path_of


class GroupMember:
    """A member for as long as the ``with`` lasts; what was handed out is committed at its end."""

    def __init__(self, client: Client, group: str, topic: str, auto_offset_reset: str) -> None:
        self._client = client
        self._members = path_of("groups", group, "members")
        self._join = {"topics": [topic], "auto_offset_reset": auto_offset_reset}
        self._path = self._cursor = ""

    def __enter__(self) -> GroupMember:
        joined = self._client.call("POST", self._members, body=self._join)
        self._path = f"{self._members}/{joined['member_id']}"
        self._cursor = joined["cursor"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._client.call("POST", f"{self._path}/commit", body={"cursor": self._cursor})
        self._client.call("DELETE", self._path)

    def records(self, most: int, wait_ms: int, *, follow: bool) -> Iterator[list[dict[str, Any]]]:
        """What each poll brings; ends with one that brings nothing unless told to ``follow``.

        Each poll commits what the one before it brought. A rebalance is waited for.
        """
        answer: dict[str, Any] = {"records": [], "rebalancing": True}
        while most and (answer["records"] or answer["rebalancing"] or follow):
            wait = wait_ms if follow or answer["rebalancing"] else 0
            body = {"cursor": self._cursor, "max_records": min(most, 1000), "wait_ms": wait}
            answer = self._client.call("POST", f"{self._path}/poll", body=body)
            self._cursor = answer["cursor"]
            most -= len(answer["records"])
            yield answer["records"]
