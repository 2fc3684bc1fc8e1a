"""Who started the process and is told how it does: systemd, or another that speaks sd_notify(3).

A message is a datagram of lines ``NAME=value`` to the socket that ``NOTIFY_SOCKET`` names: how a
start comes along, that it is done, that a stop has begun and, where ``WATCHDOG_USEC`` asks for it,
that the event loop still turns. Without the variable nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping

from tidelog.broker.local.opening import Progress

_LOOK_S = 1
_AGAIN_S = 0.1
_PATIENCE_S = 300
"""A recovery that has read something may take so much longer."""
_MARGIN_S = 60
"""What a stop may take beside waiting for requests under way."""
_log = logging.getLogger("tidelog.broker")


class Supervisor:
    """Made in a running event loop, which never waits for who listens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._unsent: deque[bytes] = deque()
        self._unheard = False
        self._starting = False
        if self._address is None:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        watchdog_s = _watchdog_s(environment)
        if watchdog_s is not None:
            self._beat(watchdog_s / 2)

    def starting(self, progress: Callable[[], Progress]) -> None:
        """Until it is ready: how far recovery is, and that it needs time while it gets on."""
        if self._address is not None:
            self._starting = True
            self._follow(progress, None)

    def ready(self, status: str) -> None:
        """What was asked for is served."""
        self._starting = False
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self, grace_ms: int) -> None:
        """A stop has begun, which waits so long for requests under way."""
        self._starting = False
        extension = _extension(grace_ms / 1000 + _MARGIN_S)
        self._tell("STOPPING=1", "STATUS=stopping", extension)

    def _follow(self, progress: Callable[[], Progress], before: Progress | None) -> None:
        if not self._starting:
            return
        now = progress()
        if now != before:
            self._tell(f"STATUS={_recovering(now)}", _extension(_PATIENCE_S))
        self._loop.call_later(_LOOK_S, self._follow, progress, now)

    def _beat(self, interval_s: float) -> None:
        if not self._unsent:
            self._tell("WATCHDOG=1")
        self._loop.call_later(interval_s, self._beat, interval_s)

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        self._unsent.append("\n".join(lines).encode())
        if len(self._unsent) == 1:
            self._send()

    def _send(self) -> None:
        while self._unsent:
            try:
                self._socket.sendto(self._unsent[0], self._address or "")
            except BlockingIOError:
                self._loop.call_later(_AGAIN_S, self._send)
                return
            except OSError as error:
                if not self._unheard:
                    _log.warning("nobody listens at NOTIFY_SOCKET: %s", error.strerror)
                self._unheard = True
            self._unsent.popleft()


def _address(given: str) -> str | None:
    """A path, or with @ a name without a file (Linux)."""
    if not given:
        return None
    if given[0] not in "/@":
        _log.warning("NOTIFY_SOCKET is not a socket of this machine: %s", given)
        return None
    return given.replace("@", "\0", 1) if given[0] == "@" else given


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Within what time the manager wants to hear from us, None where it is not us or never."""
    text = environment.get("WATCHDOG_USEC", "")
    of_us = environment.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
    return int(text) / 1e6 if of_us and text.isdecimal() and int(text) else None


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"


def _recovering(progress: Progress) -> str:
    text = f"recovering: {progress.opened} of {progress.total} partitions"
    if progress.total_bytes:
        share = progress.read_bytes / progress.total_bytes
        text += f", {share:.0%} of {progress.total_bytes / 2**20:,.1f} MiB read"
    return text
