"""What may be called a topic: Apache Kafka's rules (``Topic.java``)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tidelog.broker.errors import InvalidTopicName

LENGTH_MAX = 249
INTERNAL_TOPICS = frozenset(("__consumer_offsets",))
"""Topics that the broker makes, and writes, for itself."""
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+\Z")


def check_topic_name(name: str, existing: Iterable[str] = ()) -> None:
    """Raises InvalidTopicName.

    Names that differ only in ``.`` and ``_`` collide, because metrics replace one by the other.
    """
    if not name:
        raise InvalidTopicName(name, "it is empty")
    if name in (".", ".."):
        raise InvalidTopicName(name, "it is '.' or '..'")
    if len(name) > LENGTH_MAX:
        raise InvalidTopicName(name, f"it is longer than {LENGTH_MAX} characters")
    if not _LEGAL.match(name):
        raise InvalidTopicName(name, "it may contain only letters, digits, '.', '_' and '-'")
    folded = name.replace(".", "_")
    for other in existing:
        if other != name and other.replace(".", "_") == folded:
            raise InvalidTopicName(name, f"it collides with topic {other!r}")


def may_be_made(name: str) -> bool:
    """Whether clients may call a topic so, where none has a name that collides."""
    if name in INTERNAL_TOPICS:
        return False
    try:
        check_topic_name(name)
    except InvalidTopicName:
        return False
    return True
