"""What a proxy says of the request that it was sent: under which name and below which path.

Only proxies that ``trusted.proxies`` names are believed; what anybody else says is not heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from tidelog.api.http.request_reply import Scope

_PREFIX = re.compile(rb"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


class Proxies:
    """``trusted``: addresses and networks, as ``10.0.0.0/8``."""

    def __init__(self, trusted: Iterable[str]) -> None:
        networks = [ip_network(text, strict=False) for text in trusted]

        @lru_cache(maxsize=1024)
        def trusts(text: str) -> bool:
            address = ip_address(text.partition("%")[0])
            if isinstance(address, IPv6Address):
                address = address.ipv4_mapped or address
            return any(address in network for network in networks)

        self._trusts = trusts

    def host(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The Host that the client named, None if nobody trusted says."""
        given = headers.get(b"x-forwarded-host")
        if given is None or not self._is_trusted(scope):
            return None
        # The first of several is what the first proxy was sent.
        return given.partition(b",")[0].strip()

    def prefix(self, scope: Scope, given: bytes) -> bytes:
        """The path below which clients see the broker's, from ``X-Forwarded-Prefix``.

        Without a slash at its end; empty for none, and for one that cannot be in a URL.
        """
        prefix = given.strip().rstrip(b"/")
        return prefix if self._is_trusted(scope) and _PREFIX.fullmatch(prefix) else b""

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope["client"]
        return client is not None and self._trusts(client[0])


def below(prefix: bytes, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers of an answer with their links as clients see them, below ``prefix``."""
    seen = []
    for name, value in headers:
        if name == b"location" and value.startswith(b"/"):
            value = prefix + value
        elif name == b"link":
            value = value.replace(b"</", b"<%b/" % prefix)
        seen.append((name, value))
    return seen
