"""Writes of one step of the event loop go out together.

The server writes a reply's head and its body one after the other, and each would be a system call
of its own: for small replies the dearest thing of the whole request.
"""

from __future__ import annotations

import asyncio
from typing import Any

_HELD_BYTES_MAX = 16 * 1024


class GatheringTransport:
    """A transport that holds what is written until the step ends or enough has come together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _HELD_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        if not parts or self._transport.is_closing():
            return
        if size > _HELD_BYTES_MAX:
            self._transport.writelines(parts)
        else:
            self._transport.write(b"".join(parts))

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
