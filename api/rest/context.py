"""What every HTTP route is given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tidelog.api.config import Config
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator


@dataclass
class Addresses:
    """Where the doors listen; known once they do."""

    http: str = ""
    kafka: str | None = None


@dataclass(frozen=True)
class RestContext:
    """The broker behind the door; ``stopping`` is set when open streams must end."""

    broker: Broker
    coordinator: Coordinator
    config: Config
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    addresses: Addresses = field(default_factory=Addresses)
