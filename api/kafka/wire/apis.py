"""What an API is, and what belongs to it by name: message classes, decoder, handler.

Message classes of a version are imported when the first request of that version comes: each
costs some milliseconds, and a client uses few.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

_NEVER = 2**15


class Api(NamedTuple):
    """What its handler says of an API; Kafka's name in snake case is the handler's."""

    key: int
    name: str
    versions: tuple[int, int]
    """The first and the last that are served."""
    flexible_from: int = _NEVER
    advertised_min: int | None = None
    """Lies below the first version where Kafka says so itself."""
    reads_frame: bool = False
    """The handler reads the request in place, so that records are not copied."""
    flexible_head: bool = True
    """Whether the head of a flexible response has tagged fields."""
    alone: bool = False
    """It changes topics: the next request of the connection is to see the change."""

    @property
    def min_version(self) -> int:
        return self.versions[0]

    @property
    def max_version(self) -> int:
        return self.versions[1]

    def serves(self, version: int) -> bool:
        return self.min_version <= version <= self.max_version

    def is_flexible(self, version: int) -> bool:
        """Whether messages of this version have tagged fields."""
        return version >= self.flexible_from

    @property
    def camel_case(self) -> str:
        """The name as Apache Kafka writes it."""
        return _camel_case(self.name)


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def message_class(name: str, version: int, kind: str) -> Any:
    """kio's class of a message; ``kind`` is request or response."""
    module = importlib.import_module(f"kio.schema.{name}.v{version}.{kind}")
    return getattr(module, _camel_case(name) + kind.capitalize())


@cache
def request_reader(name: str, version: int) -> Callable[[Any, int], tuple[Any, int]]:
    """kio's native decoder for a request: (buffer, position) -> (entity, size)."""
    from kio.serial import entity_reader

    reader: Callable[[Any, int], tuple[Any, int]] = entity_reader(
        message_class(name, version, "request")
    )
    return reader


@cache
def handler(name: str) -> Callable[..., Any]:
    """The function that answers an API."""
    module = importlib.import_module(f"tidelog.api.kafka.handlers.{name}")
    handle: Callable[..., Any] = module.handle
    return handle
