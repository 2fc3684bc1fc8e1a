"""What every HTTP route is given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tidelog.api.address import Address
from tidelog.api.caller import CALLER, Access, Rules
from tidelog.api.config import Config
from tidelog.api.measures import Measures
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator


@dataclass
class Addresses:
    """Where the doors listen, first of all; known once they do."""

    http: str = ""
    kafka: str | None = None
    listeners: list[str] = field(default_factory=list)
    """All of them, as ``http://HOST:PORT`` and ``kafka://HOST:PORT``."""

    @property
    def are_several(self) -> bool:
        """A door listens on more than one."""
        return len(self.listeners) > 1 + (self.kafka is not None)

    def add(self, door: str, address: Address) -> str:
        """``door`` is http or kafka; how the listener is told of."""
        self.listeners.append(f"{door}://{address}")
        if door == "http":
            self.http = self.http or self.listeners[-1]
        else:
            self.kafka = self.kafka or str(address)
        return self.listeners[-1]


@dataclass(frozen=True)
class RestContext:
    """The broker behind the door; ``stopping`` is set when open streams must end."""

    broker: Broker
    coordinator: Coordinator
    config: Config
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    addresses: Addresses = field(default_factory=Addresses)
    measures: Measures = field(default_factory=Measures)
    rules: Rules | None = None

    @property
    def access(self) -> Access:
        """What the caller of the present request may reach."""
        return Access(self.broker, CALLER.get(), self.rules)
