"""A command that takes part in a group: it joins, polls with its cursor, commits and leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

import msgspec

from tidelog.api.cli.client import Client, CommandFailed, path_of
from tidelog.api.cli.printer import Shown
from tidelog.api.cli.unreadable import Unreadable, tell_left_out


class _Polled(msgspec.Struct):
    records: list[Shown]
    cursor: str
    rebalancing: bool
    skipped: list[Unreadable] = []


_decode_polled = msgspec.json.Decoder(_Polled).decode


class GroupMember:
    """A member for as long as the ``with`` lasts; what was handed out is committed at its end.

    Where an error or an interrupt ends it, the member leaves all the same.
    """

    def __init__(
        self, client: Client, group: str, topic: str, auto_offset_reset: str, on_corrupt: str
    ) -> None:
        self._client = client
        self._members = path_of("groups", group, "members")
        self._join = {"topics": [topic], "auto_offset_reset": auto_offset_reset}
        self._on_corrupt = on_corrupt
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
            return
        # What ended it is told, not that leaving failed too.
        with contextlib.suppress(CommandFailed):
            self._client.call("DELETE", self._path)

    def records(self, most: int, wait_ms: int, *, follow: bool) -> Iterator[list[Shown]]:
        """What each poll brings; ends with one that brings nothing unless told to ``follow``.

        Each poll commits what the one before it brought. A rebalance is waited for.
        """
        polled = _Polled([], self._cursor, rebalancing=True)
        while most and (polled.records or polled.skipped or polled.rebalancing or follow):
            wait = wait_ms if follow or polled.rebalancing else 0
            polled = self._poll(min(most, 1000), wait)
            self._cursor = polled.cursor
            tell_left_out(polled.skipped)
            most -= len(polled.records)
            yield polled.records

    def _poll(self, max_records: int, wait_ms: int) -> _Polled:
        body = {
            "cursor": self._cursor,
            "max_records": max_records,
            "wait_ms": wait_ms,
            "value": "text",
            "on_corrupt": self._on_corrupt,
        }
        try:
            return _decode_polled(self._client.content("POST", f"{self._path}/poll", body=body))
        except msgspec.MsgspecError as error:
            raise self._client.foreign_answer() from error
