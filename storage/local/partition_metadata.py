"""The ``partition.metadata`` of a partition's directory: which topic it belongs to.

Apache Kafka's ``PartitionMetadataFile.java`` defines the text::

    version: 0
    topic_id: <22 characters of URL-safe base64>
"""

from __future__ import annotations

import base64
import binascii
import uuid

_NONE = uuid.UUID(int=0)


def encode_uuid(value: uuid.UUID) -> str:
    """In Kafka's form: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(value.bytes).rstrip(b"=").decode()


def decode_topic_id(text: str) -> uuid.UUID:
    """Raises ValueError."""
    try:
        topic_id = uuid.UUID(bytes=base64.b64decode(text + "==", b"-_", validate=True))
    except binascii.Error as error:
        raise ValueError(f"{text!r} is not a topic id: {error}") from error
    if topic_id == _NONE:
        raise ValueError("the topic id is zero")
    return topic_id


def encode_partition_metadata(topic_id: uuid.UUID) -> bytes:
    """The content of the file."""
    return f"version: 0\ntopic_id: {encode_uuid(topic_id)}\n".encode()


def decode_partition_metadata(data: bytes) -> uuid.UUID:
    """The topic's id. Raises ValueError."""
    lines = data.decode().splitlines()
    if len(lines) < 2 or not lines[0].startswith("version: "):
        raise ValueError("partition.metadata has no version and topic id")
    name, _, value = lines[1].partition(": ")
    if name != "topic_id":
        raise ValueError("partition.metadata has no topic id")
    return decode_topic_id(value)
