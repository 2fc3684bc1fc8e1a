"""The doors of a process: what each has to do, which there are, and how they listen.

A further one is a line of ``DOORS`` and a package that makes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from tidelog.api.address import ANY_IPV4, Address, Addresses
from tidelog.api.config import Config
from tidelog.api.http.server import HttpServer, is_loopback
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.door import RestDoor

_log = logging.getLogger("tidelog.broker")


class Door(Protocol):
    """A protocol that is served to the outside."""

    async def listen(self, address: Address, *, only_ipv6: bool = False) -> Address:
        """Take one more address, and say which it is. Raises OSError."""
        ...

    async def serve(self) -> None:
        """Everything is there: answer who connects. A door may have answered some before."""
        ...

    async def stop(self, grace_ms: int) -> int:
        """Finish what is under way; how much was not finished within ``grace_ms``."""
        ...


class Kind(NamedTuple):
    """A door that there may be."""

    name: str
    called: str
    addresses: Callable[[Config], Addresses]
    other_address: str
    """How to choose one, for who cannot have this."""
    make: Callable[[RestContext], Door]


class CannotListen(Exception):
    """An address is taken or not ours."""

    def __init__(self, kind: Kind, address: Address, error: OSError) -> None:
        super().__init__(
            f"cannot listen on {address} for {kind.called}: {_reason(error)}; "
            f"choose another with {kind.other_address}"
        )


class Doors:
    """Those that are configured, opened one after the other and closed together."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._open: list[Door] = []

    async def listen(self) -> None:
        """Take every address; health and metrics are answered from here on. Raises CannotListen."""
        config = self._context.config
        for kind in DOORS:
            addresses = kind.addresses(config)
            if addresses:
                self._open.append(door := kind.make(self._context))
            for address in addresses:
                only_ipv6 = _is_shared(address, addresses)
                try:
                    taken = await door.listen(address, only_ipv6=only_ipv6)
                except OSError as error:
                    raise CannotListen(kind, address, error) from error
                self._tell(kind, taken)

    def _tell(self, kind: Kind, address: Address) -> None:
        listener = self._context.addresses.add(kind.name, address)
        if not is_loopback(address.host):
            _log.warning("%s is open to the network without access control", listener)

    async def serve(self) -> None:
        """Everything is there."""
        for door in self._open:
            await door.serve()

    async def stop(self, grace_ms: int) -> None:
        """All at once."""
        await asyncio.gather(*(door.stop(grace_ms) for door in self._open))


def _http(context: RestContext) -> Door:
    settings = context.broker.settings
    server = HttpServer(
        RestDoor(context),
        head_limit=settings["http.max.header.bytes"],
        patience_ms=settings["http.body.timeout.ms"],
    )
    context.measures.connections["http"] = lambda: server.connections
    return server


def _kafka(context: RestContext) -> Door:
    from tidelog.api.kafka.server import KafkaServer

    return KafkaServer(
        *(context.broker, context.coordinator, context.measures),
        advertised=_told(context.config.advertised),
        rules=context.rules,
    )


DOORS = (
    Kind("http", "HTTP", lambda config: config.http, "--http HOST:PORT", _http),
    Kind(
        *("kafka", "Kafka", lambda config: config.kafka),
        *("--kafka HOST:PORT, or --no-kafka", _kafka),
    ),
)


def _told(advertised: Addresses) -> Iterator[Address | None]:
    """What clients of each address are told, None: what they used; the last counts for the rest."""
    told: Address | None = None
    for told in advertised:
        yield told
    while True:
        yield told


def _is_shared(address: Address, others: Addresses) -> bool:
    """Whether IPv4 has a listener of its own on the port of every address of IPv6."""
    return address._replace(host=ANY_IPV4) in others


def _reason(error: OSError) -> str:
    """In few words: the event loop adds the address; a name that is not found has no number."""
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno or 0)
