"""A small HTTP client for the commands: the standard library's, errors made readable."""

from __future__ import annotations

import http.client
import json
import os
import select
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

from tidelog.api.cli.connection import Connection, choose_connection
from tidelog.api.cli.failures import CommandFailed, NoAnswer, UsedWrongly, refused

_HASTE_S = 3.0
_PIECE_BYTES = 64 * 1024
_BROKEN = (OSError, http.client.HTTPException, UnicodeError)
"""What http.client raises; UnicodeError for a host name that cannot be one."""


class Client:
    """Calls one broker; ``server`` is its URL, or how it is reached, None for what is in use.

    The end of a ``with``, or that of the process, closes its connection.
    """

    def __init__(self, server: Connection | str | None, *, patience_s: float = 90.0) -> None:
        """Raises UsedWrongly for a URL that is none."""
        self._patience_s = patience_s
        if not isinstance(server, Connection):
            server = choose_connection({"server": server}, os.environ)
        self.server = server.server
        self._connection = server
        self._headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
        self._idle: http.client.HTTPConnection | None = None

    @property
    def host(self) -> str:
        """Of the broker."""
        return self._connection.host

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._idle is not None:
            self._idle.close()

    def hurry(self) -> None:
        """From now on an answer that does not come soon is not waited for."""
        self._patience_s = _HASTE_S
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The JSON of the answer, None for none. Raises Refused, CommandFailed."""
        content = self.content(method, path, query, body, headers)
        if not content:
            return None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.foreign_answer() from error
        return _Answer(answer) if isinstance(answer, dict) else answer

    def content(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """The bytes of the answer; ``body`` is sent as JSON. Raises Refused, CommandFailed."""
        if body is None:
            return self._exchange(method, path, query, None, headers or {})
        headers = {**(headers or {}), "Content-Type": "application/json"}
        return self._exchange(method, path, query, json.dumps(body).encode(), headers)

    def post_raw(
        self,
        path: str,
        data: bytes,
        kind: str,
        query: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Send bytes as they are; those of the answer. Raises Refused, CommandFailed."""
        headers = {**(headers or {}), "Content-Type": kind}
        return self._exchange("POST", path, query, data, headers)

    def every(self, name: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """All entries of the list ``/v1/NAME``, page by page."""
        entries: list[dict[str, Any]] = []
        query = dict(query or {})
        while True:
            answer = self.call("GET", path_of(name), query)
            entries += answer[name]
            if answer["next_page_token"] is None:
                return entries
            query["page_token"] = answer["next_page_token"]

    def lines(self, path: str, query: dict[str, Any], headers: dict[str, str]) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come."""
        connection = self._connect()
        connection.sock.settimeout(None)
        try:
            headers = {**self._headers, **headers}
            connection.request("GET", self._target(path, query), None, headers)
            response = connection.getresponse()
            if response.status >= 300:
                raise refused(response.status, response.read(), response.headers["Location"])
            yield from _lines(response)
        except _BROKEN as error:
            raise self._no_answer(error, sent=True) from error
        finally:
            connection.close()

    def foreign_answer(self) -> CommandFailed:
        """For an answer that no broker gives."""
        return CommandFailed(f"what answers at {self.server} is not a broker of this kind")

    def _exchange(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> bytes:
        connection = self._take_idle() or self._connect()
        try:
            headers = {**self._headers, **headers}
            connection.request(method, self._target(path, query), body, headers)
            response = connection.getresponse()
            content = response.read()
            self._idle = connection
        except _BROKEN as error:
            raise self._no_answer(error, sent=True) from error
        finally:
            # One on which an exchange was interrupted is not used again.
            if self._idle is None:
                connection.close()
        if response.status >= 300:
            raise refused(response.status, content, response.headers["Location"])
        return content

    def _take_idle(self) -> http.client.HTTPConnection | None:
        """The connection of the last exchange, unless it has been closed meanwhile."""
        connection, self._idle = self._idle, None
        if connection is not None and _is_dropped(connection):
            connection.close()
            return None
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        connection = self._unconnected()
        try:
            connection.connect()
        except _BROKEN as error:
            raise self._no_answer(error, sent=False) from error
        return connection

    def _unconnected(self) -> http.client.HTTPConnection:
        """Raises UsedWrongly for a file of certificates that is none."""
        to = self._connection
        if not to.secure:
            return http.client.HTTPConnection(to.host, to.port, timeout=self._patience_s)
        import ssl

        try:
            context = ssl.create_default_context(cafile=to.ca_file)
        except OSError as error:
            reason = error.strerror or error
            raise UsedWrongly(f"{to.ca_file} is no file of certificates: {reason}") from error
        if to.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            to.host, to.port, timeout=self._patience_s, context=context
        )

    def _target(self, path: str, query: dict[str, Any] | None) -> str:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._connection.prefix + path
        return f"{target}?{urlencode(given, errors='surrogateescape')}" if given else target

    def _no_answer(self, error: Exception, *, sent: bool) -> NoAnswer:
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "start one with 'tidelog serve' or name another with --server or TIDELOG_SERVER"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            hint = "--ca-file names a file of certificates to trust, --insecure takes any"
        elif "WRONG_VERSION_NUMBER" in reason:
            hint = "it speaks no TLS: try http in place of https"
        return NoAnswer(f"no broker answers at {self.server} ({reason}); {hint}", sent=sent)


class _Answer(dict[str, Any]):
    """An answer whose members are those of a broker's."""

    def __missing__(self, name: str) -> Any:
        raise CommandFailed(f"the answer has no {name!r}: is this the URL of a broker?")


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Without their ends. Raises IncompleteRead, which ``readline`` hides."""
    parts: list[bytes] = []
    while piece := response.read1(_PIECE_BYTES):
        first, *others = piece.split(b"\n")
        parts.append(first)
        if others:
            yield b"".join(parts)
            yield from others[:-1]
            parts = others[-1:]
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    if any(parts):
        yield b"".join(parts)


def _is_dropped(connection: http.client.HTTPConnection) -> bool:
    """Whether the broker has closed a connection on which nothing is asked."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def path_of(*parts: str | int) -> str:
    """A path under /v1 from parts that are escaped. Raises CommandFailed."""
    try:
        return "/v1/" + "/".join(quote(str(part), safe=":") for part in parts)
    except UnicodeEncodeError as error:
        raise CommandFailed(f"{error.object!a} is not UTF-8") from error


def named_values(pairs: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs as a dict. Raises UsedWrongly."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsedWrongly(f"{pair!r} is not NAME=VALUE")
        values[name] = value
    return values
