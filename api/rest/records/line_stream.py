"""A streamed reply of NDJSON records.

It begins with its first lines or with its end: an error before them has a reply of its own. A later
one is told in a line, ``{"error": ...}``, the last. Batches that were passed are told in lines
``{"skipped": [...]}``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidelog.api.errors import http_error
from tidelog.api.http.error_body import error_body
from tidelog.api.http.request_reply import NDJSON, Send, begin_stream, stream
from tidelog.api.rest.records.rendering import skipped_line
from tidelog.storage.errors import UnreadableBatch


class LineStream:
    """One reply; ``end`` it, or ``fail``."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def put(self, lines: Sequence[bytes]) -> None:
        """Send lines."""
        await self._begin()
        if lines:
            await stream(self._send, b"\n".join([*lines, b""]))

    async def put_skipped(self, skipped: list[UnreadableBatch] | None) -> None:
        """Send a line of what was ``skipped``, which is emptied."""
        if skipped:
            line = skipped_line(skipped)
            skipped.clear()
            await self.put([line])

    async def end(self) -> None:
        """Complete the reply."""
        await self._begin()
        await stream(self._send, b"", more=False)

    async def fail(self, error: Exception) -> None:
        """Tell an error and complete the reply. Raises it where nothing was sent."""
        if not self._begun:
            raise error
        await stream(self._send, error_body(http_error(error)) + b"\n", more=False)

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await begin_stream(self._send, NDJSON)
