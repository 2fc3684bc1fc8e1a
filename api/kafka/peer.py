"""Who a request comes from, and what its handler may use."""

from __future__ import annotations

from typing import NamedTuple

from tidelog.api.address import Address
from tidelog.api.caller import Access
from tidelog.api.refusals import Refusals
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator


class Peer(NamedTuple):
    """The client's host and address, the address it connected to, and the one it is told."""

    host: str
    address: str
    local: Address
    advertised: Address


class Call(NamedTuple):
    """One request beside its message: version, client, and the broker it is for."""

    broker: Broker
    """For what the gate has let through."""
    coordinator: Coordinator
    version: int
    client_id: str
    peer: Peer
    access: Access
    refused: Refusals
    """Where a request is told of that is refused for good."""
