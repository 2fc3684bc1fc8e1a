"""Which web pages may call: those of this broker, and those that ``cors.origins`` names.

A page is the broker's own if the browser says so (``Sec-Fetch-Site``, which no page can set), or if
its origin is the host that the browser called: ``Host``, or where a proxy has put another one
there what a trusted one says it was. A broker on loopback also refuses a Host that is no name of
this machine, against DNS rebinding.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from tidelog.api.errors import ApiError
from tidelog.api.http.proxies import Proxies
from tidelog.api.http.request_reply import Scope
from tidelog.api.http.server import is_loopback
from tidelog.broker.settings.broker_settings import BrokerSettings


class Browsers:
    """``on_loopback``: only this machine can reach the broker."""

    def __init__(self, settings: BrokerSettings, proxies: Proxies, *, on_loopback: bool) -> None:
        self._origins = frozenset(settings["cors.origins"])
        self._hosts = frozenset(host.lower() for host in settings["allowed.hosts"])
        self._proxies = proxies
        self._on_loopback = on_loopback

    @property
    def answers_vary(self) -> bool:
        """Pages of other origins may call: what one of them is told is not for all."""
        return bool(self._origins)

    def admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The other origin whose page may read the answer; None for our own or no page at all.

        Raises ApiError for a host or an origin that is foreign.
        """
        host = headers.get(b"host", b"")
        if self._on_loopback:
            self._check_host(host.decode("latin-1"))
        origin = headers.get(b"origin")
        if not origin:
            return None
        text = origin.decode("latin-1")
        if text in self._origins or "*" in self._origins:
            return origin
        if headers.get(b"sec-fetch-site") == b"same-origin":
            return None
        called = urlsplit(text).netloc.encode("latin-1")
        if called in (host, self._proxies.host(scope, headers)):
            return None
        message = f"origin {text!r} is not ours; cors.origins may allow it"
        raise ApiError(403, "foreign_origin", message, origin=text)

    def _check_host(self, host: str) -> None:
        """Case does not count in a name, and a port may be empty (RFC 3986, 3.2)."""
        called = host.lower()
        name, colon, port = called.rpartition(":")
        if not (name and colon and (port.isdigit() or not port)):
            name = called
        if host and not is_loopback(name.strip("[]")) and not {called, name} & self._hosts:
            message = f"host {host!r} is not ours; allowed.hosts may name it"
            raise ApiError(403, "foreign_host", message, host=host)
