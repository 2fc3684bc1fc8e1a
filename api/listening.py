"""The sockets of an address that a door listens on.

A name may stand for several addresses, each has a socket; with port 0 all have the same port.
``[::]`` takes IPv4 as well, unless that has a listener of its own.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from tidelog.api.address import ANY_IPV6, Address, plain_host

Factory = Callable[[], asyncio.BaseProtocol]
_PASSED_OVER = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What becomes of one address of a name, as that of IPv6 on a machine without."""


async def listen(
    address: Address, protocol: Factory, *, only_ipv6: bool, backlog: int, serving: bool
) -> tuple[Address, list[asyncio.Server]]:
    """Take an address and, if ``serving``, listen on it; the address in use. Raises OSError."""
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    sockets = await bind(address, only_ipv6=only_ipv6)
    for bound in sockets:
        server = await loop.create_server(
            protocol, sock=bound, backlog=backlog, start_serving=serving
        )
        servers.append(server)
    return Address(*sockets[0].getsockname()[:2]), servers


def plain_address(transport: asyncio.BaseTransport, end: str) -> Address:
    """``peername`` or ``sockname``: IPv4 as such, though the socket takes both families."""
    host, port = transport.get_extra_info(end)[:2]
    return Address(plain_host(host), port)


async def bind(address: Address, *, only_ipv6: bool = False) -> list[socket.socket]:
    """At least one socket, not listening yet. Raises OSError."""
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    port = address.port
    try:
        for family, place in await _resolve(address.host):
            try:
                both = place[0] == ANY_IPV6 and not only_ipv6
                sockets.append(_bind(family, (place[0], port, *place[2:]), both))
            except OSError as error:
                if error.errno not in _PASSED_OVER:
                    raise
                failure = error
            else:
                port = sockets[0].getsockname()[1]
        if failure is not None and not sockets:
            raise failure
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets


async def _resolve(host: str) -> list[tuple[int, Any]]:
    """Family and socket address of each; what is a number needs no thread that asks for it."""
    kind = socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(host, 0, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=kind)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _bind(family: int, place: tuple[Any, ...], both: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        bound.setblocking(False)
        bound.bind(place)
    except BaseException:
        bound.close()
        raise
    return bound
