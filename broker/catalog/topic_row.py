"""What makes a topic, as the catalog keeps it and as it stands beside the topic's first log.

``topic.metadata`` in the directory of partition 0 is written whenever the topic is made or
changed, so that the topic comes back, and comes back right, whatever becomes of the catalog::

    version: 0
    topic: orders
    topic_id: <22 characters of URL-safe base64>
    partitions: 3
    settings: {"retention.ms":"1000"}
    checksum: 5f2c09ab
"""

from __future__ import annotations

import json
import uuid
from typing import NamedTuple

from tidelog.storage.local.partition_metadata import decode_topic_id, encode_uuid
from tidelog.storage.local.sealed_text import decode_sealed, encode_sealed

_VERSION = "0"


class TopicRow(NamedTuple):
    """A topic; ``settings`` are the overrides only."""

    name: str
    id: uuid.UUID
    partitions: int
    settings: dict[str, str]
    deleting: bool = False


def encode_topic(row: TopicRow) -> bytes:
    """The content of ``topic.metadata``."""
    return encode_sealed(
        {
            "version": _VERSION,
            "topic": row.name,
            "topic_id": encode_uuid(row.id),
            "partitions": str(row.partitions),
            "settings": encode_settings(row.settings),
        }
    )


def decode_topic(data: bytes) -> TopicRow:
    """Raises ValueError for anything but a whole ``topic.metadata`` of version 0."""
    fields = decode_sealed(data)
    try:
        if fields["version"] != _VERSION:
            raise ValueError(f"topic.metadata of version {fields['version']}")
        return TopicRow(
            fields["topic"],
            decode_topic_id(fields["topic_id"]),
            int(fields["partitions"]),
            decode_settings(fields["settings"]),
        )
    except KeyError as error:
        raise ValueError(f"topic.metadata does not tell {error}") from error


def encode_settings(settings: dict[str, str]) -> str:
    """Settings as one line of JSON."""
    return json.dumps(settings, separators=(",", ":"))


def decode_settings(text: str) -> dict[str, str]:
    """Raises ValueError for anything but names with texts."""
    settings = json.loads(text)
    if not isinstance(settings, dict) or not all(isinstance(v, str) for v in settings.values()):
        raise ValueError(f"{text!r} are no settings")
    return settings
