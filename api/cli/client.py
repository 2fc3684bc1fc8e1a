"""A small HTTP client for the commands: the standard library's, errors made readable."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_SERVER = "http://127.0.0.1:8082"


class CommandFailed(Exception):
    """What a person is told; the exit status is 1."""


class Refused(CommandFailed):
    """The broker's own error."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class Client:
    """Calls one broker; ``server`` is its URL."""

    def __init__(self, server: str | None) -> None:
        """Raises CommandFailed for a URL that is none."""
        self.server = server or os.environ.get("TIDELOG_SERVER") or DEFAULT_SERVER
        parts = urlsplit(self.server)
        if parts.scheme != "http" or not parts.hostname:
            raise CommandFailed(
                f"{self.server!r} is not the URL of a broker, like {DEFAULT_SERVER}"
            )
        self._host, self._port = parts.hostname, parts.port or 80
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The JSON of the answer, None for none. Raises Refused, CommandFailed."""
        data = None if body is None else json.dumps(body).encode()
        response = self._send(method, path, query, data, "application/json", headers or {})
        content = response.read()
        return json.loads(content) if content else None

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

    def post_raw(self, path: str, data: bytes, kind: str, query: dict[str, Any]) -> Any:
        """Send bytes as they are; the JSON of the answer."""
        return json.loads(self._send("POST", path, query, data, kind, {}).read())

    def lines(
        self, path: str, query: dict[str, Any], accept: str = "application/x-ndjson"
    ) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come."""
        response = self._send("GET", path, query, None, None, {"Accept": accept}, patience=None)
        yield from response

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: bytes | None,
        kind: str | None,
        headers: dict[str, str],
        patience: float | None = 90,
    ) -> http.client.HTTPResponse:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = path + ("?" + urlencode(given) if given else "")
        if kind is not None and body is not None:
            headers = {**headers, "Content-Type": kind}
        try:
            if self._connection is None or patience is None:
                self._connection = http.client.HTTPConnection(
                    self._host, self._port, timeout=patience
                )
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            raise CommandFailed(
                f"no broker answers at {self.server} ({error}); start one with 'tidelog serve' "
                "or name another with --server or TIDELOG_SERVER"
            ) from error
        if response.status >= 400:
            raise _refused(response.status, response.read())
        return response


def _refused(status: int, content: bytes) -> Refused:
    try:
        error = json.loads(content)["error"]
        code, message, details = error["code"], error["message"], error["details"]
        if code == "unknown_topic":
            message = f"there is no topic {details['topic']!r}; 'tidelog topic list' shows them all"
        return Refused(status, code, message, details)
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace").strip()
        return Refused(status, "unknown", f"HTTP {status}: {text}", {})


def path_of(*parts: str | int) -> str:
    """A path under /v1 from parts that are escaped. Raises CommandFailed."""
    try:
        return "/v1/" + "/".join(quote(str(part), safe=":") for part in parts)
    except UnicodeEncodeError as error:
        raise CommandFailed(f"{error.object!a} is not UTF-8") from error


def named_values(pairs: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs as a dict. Raises CommandFailed."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandFailed(f"{pair!r} is not NAME=VALUE")
        values[name] = value
    return values
