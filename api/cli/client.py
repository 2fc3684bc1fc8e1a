"""A small HTTP client for the commands: the standard library's, errors made readable."""

from __future__ import annotations

import http.client
import json
import os
import select
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_SERVER = "http://127.0.0.1:8082"
_PATIENCE_S, _HASTE_S = 90, 3
_PIECE_BYTES = 64 * 1024
_FOREIGN_CHARACTERS_MAX = 200
"""How much is shown of an answer that is none of a broker's."""
_BROKEN = (OSError, http.client.HTTPException, UnicodeError)
"""What http.client raises; UnicodeError for a host name that cannot be one."""


class CommandFailed(Exception):
    """What a person is told in one sentence."""

    exit_status = 1


class UsedWrongly(CommandFailed):
    """The command line itself is wrong; nothing was tried."""

    exit_status = 2


class NoAnswer(CommandFailed):
    """No whole answer came; ``sent``: the broker may have got the request all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Refused(CommandFailed):
    """The broker's own error."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class Client:
    """Calls one broker; ``server`` is its URL, with the path below which it is served.

    The end of a ``with``, or that of the process, closes its connection.
    """

    def __init__(self, server: str | None) -> None:
        """Raises UsedWrongly for a URL that is none."""
        self.server = server or os.environ.get("TIDELOG_SERVER") or DEFAULT_SERVER
        self._address = _address_of(self.server)
        self._idle: http.client.HTTPConnection | None = None
        self._patience_s = _PATIENCE_S

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

    def post_raw(self, path: str, data: bytes, kind: str, query: dict[str, Any]) -> bytes:
        """Send bytes as they are; those of the answer. Raises Refused, CommandFailed."""
        return self._exchange("POST", path, query, data, {"Content-Type": kind})

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

    def lines(self, path: str, query: dict[str, Any], accept: str) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come."""
        connection = self._connect()
        connection.sock.settimeout(None)
        try:
            connection.request("GET", self._target(path, query), None, {"Accept": accept})
            response = connection.getresponse()
            if response.status >= 300:
                raise refused(response.status, response.read())
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
            raise refused(response.status, content)
        return content

    def _take_idle(self) -> http.client.HTTPConnection | None:
        """The connection of the last exchange, unless it has been closed meanwhile."""
        connection, self._idle = self._idle, None
        if connection is not None and _is_dropped(connection):
            connection.close()
            return None
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        host, port, _ = self._address
        connection = http.client.HTTPConnection(host, port, timeout=self._patience_s)
        try:
            connection.connect()
        except _BROKEN as error:
            raise self._no_answer(error, sent=False) from error
        return connection

    def _target(self, path: str, query: dict[str, Any] | None) -> str:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._address.prefix + path
        return f"{target}?{urlencode(given, errors='surrogateescape')}" if given else target

    def _no_answer(self, error: Exception, *, sent: bool) -> NoAnswer:
        reason = " ".join(str(error).split()) or type(error).__name__
        return NoAnswer(
            f"no broker answers at {self.server} ({reason}); start one with 'tidelog serve' "
            "or name another with --server or TIDELOG_SERVER",
            sent=sent,
        )


class _Answer(dict[str, Any]):
    """An answer whose members are those of a broker's."""

    def __missing__(self, name: str) -> Any:
        raise CommandFailed(f"the answer has no {name!r}: is this the URL of a broker?")


class _Address(NamedTuple):
    host: str
    port: int
    prefix: str
    """Before every path: empty, or where a proxy serves the broker."""


def _address_of(server: str) -> _Address:
    """Raises UsedWrongly."""
    try:
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port
        prefix = quote(parts.path.rstrip("/"), safe="/%")
    except ValueError:
        raise _not_a_url(server) from None
    if parts.scheme == "https":
        raise UsedWrongly(f"{server!r}: a broker speaks http, not https, like {DEFAULT_SERVER}")
    strange = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "http" or not host or strange or not server.isprintable() or " " in server:
        raise _not_a_url(server)
    return _Address(host, 80 if port is None else port, prefix)


def _not_a_url(server: str) -> UsedWrongly:
    return UsedWrongly(f"{server!r} is not the URL of a broker, like {DEFAULT_SERVER}")


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


def refused(status: int, content: bytes) -> Refused:
    """The error that an answer, or a line of it, tells."""
    try:
        error = json.loads(content)["error"]
        code, message, details = error["code"], error["message"], error["details"]
        if code == "unknown_topic":
            message = f"there is no topic {details['topic']!r}; 'tidelog topic list' shows them all"
        if code in ("unreadable_batch", "corrupt_batch") and "next_offset" in details:
            offsets = f"offsets {details['offset']} to {details['next_offset'] - 1}"
            place = f"{details['topic']}-{details['partition']}"
            message = (
                f"{offsets} of {place} cannot be read: {details['reason']}; "
                "--skip-corrupt leaves them out"
            )
        return Refused(status, code, message, details)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = " ".join(content.decode(errors="replace").split())[:_FOREIGN_CHARACTERS_MAX]
        return Refused(status, "unknown", f"HTTP {status}: {text}", {})


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
