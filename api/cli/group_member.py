"""A command that takes part in a group: it joins, polls with its cursor, commits and leaves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import msgspec

from tidelog.api.cli import interrupts
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, NoAnswer, Refused
from tidelog.api.cli.persistence import Persistence
from tidelog.api.cli.shown_records import Shown, number_of, string_of
from tidelog.api.cli.unreadable import Unreadable, tell_left_out

_GIVEN_UP = "unknown_member"


class _Polled(msgspec.Struct):
    records: list[Shown]
    cursor: str
    rebalancing: bool
    skipped: list[Unreadable] = []


def _new_key() -> str:
    return os.urandom(16).hex()


_decode_polled = msgspec.json.Decoder(_Polled).decode


class GroupMember:
    """A member from its first poll to the end of the ``with``, which commits what was handed out.

    Whatever ends it, an error, an interrupt, a commit that fails, the member leaves all the same.
    """

    def __init__(
        self,
        client: Client,
        group: str,
        topics: Sequence[str],
        auto_offset_reset: str,
        on_corrupt: str,
    ) -> None:
        self._client = client
        self._members = path_of("groups", group, "members")
        self._join_body = {"topics": [*topics], "auto_offset_reset": auto_offset_reset}
        self._join_key = _new_key()
        self._on_corrupt = on_corrupt
        self._may_be_in = False
        self._path = self._cursor = ""
        self._done: Sequence[Shown] | None = None

    def __enter__(self) -> GroupMember:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                self._client.call("POST", f"{self._path}/commit", body=self._last_commit())
            except BaseException:
                self._leave_in_haste()
                raise
            with interrupts.held():
                self._client.call("DELETE", self._path)
        else:
            if isinstance(error, interrupts.ENDED):
                interrupts.heard()
            self._leave_in_haste()

    def records(
        self, most: Callable[[], int], wait_ms: int, *, follow: bool
    ) -> Iterator[list[Shown]]:
        """Join; what each poll brings, at most so many records; at 0 it ends.

        It ends too with a poll that brings nothing, unless told to ``follow``. Each poll commits
        what the one before it brought. A rebalance is waited for.
        """
        persistence = Persistence(wanted=follow)
        self._join()
        polled = _Polled([], self._cursor, rebalancing=True)
        while most() and (polled.records or polled.skipped or polled.rebalancing or follow):
            wait = wait_ms if follow or polled.rebalancing else 0
            try:
                polled = persistence.ask(partial(self._poll, most(), wait))
            except Refused as error:
                if not follow or error.code != _GIVEN_UP:
                    raise
                # It was silent for too long, as where a computer slept or the broker was away.
                self._join_key, self._path = _new_key(), ""
                persistence.ask(self._join)
                continue
            self._cursor = polled.cursor
            tell_left_out(polled.skipped)
            yield polled.records

    def only(self, records: Sequence[Shown]) -> None:
        """Of the records of the last poll these are done with, and no others are committed."""
        self._done = records

    def _last_commit(self) -> dict[str, Any]:
        if self._done is None:
            return {"cursor": self._cursor}
        ends = {
            (string_of(one, "topic"), number_of(one, "partition")): number_of(one, "offset") + 1
            for one in self._done
        }
        return {
            "offsets": [
                {"topic": topic, "partition": partition, "offset": end}
                for (topic, partition), end in ends.items()
            ]
        }

    def _join(self) -> None:
        """Safe to repeat: the key is that of the one member that this is."""
        self._may_be_in = True
        try:
            headers = {"Idempotency-Key": self._join_key}
            joined = self._client.call("POST", self._members, body=self._join_body, headers=headers)
        except CommandFailed as error:
            self._may_be_in = isinstance(error, NoAnswer) and error.sent
            raise
        self._path = f"{self._members}/{joined['member_id']}"
        self._cursor = joined["cursor"]

    def _leave_in_haste(self) -> None:
        """What ended the command is told, not that leaving failed too."""
        if not self._may_be_in:
            return
        self._client.hurry()
        with interrupts.held(), contextlib.suppress(CommandFailed):
            if not self._path:
                # The answer that says which member this is did not come; here it is again.
                self._join()
            self._client.call("DELETE", self._path)

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
