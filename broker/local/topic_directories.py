"""The topics of a data directory, as their directories tell them without the catalog."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tidelog.broker.catalog.mending import Found, FoundTopic
from tidelog.broker.catalog.topic_row import TopicRow, decode_topic, encode_topic
from tidelog.storage.errors import StorageError
from tidelog.storage.files import Disk, join
from tidelog.storage.local import file_names
from tidelog.storage.local.file_names import (
    is_set_aside,
    parse_partition_directory_name,
    partition_directory_name,
)
from tidelog.storage.local.partition_metadata import (
    decode_partition_metadata,
    encode_partition_metadata,
)

T = TypeVar("T")

_log = logging.getLogger("tidelog.store")


def find_topics(disk: Disk, path: str) -> Found:
    """One file is read for each topic, and one for each partition of a topic that has none.

    Raises DirectoryUnreadable.
    """
    partitions: dict[str, set[int]] = defaultdict(set)
    removed = set()
    for name in disk.directories(path):
        parsed = parse_partition_directory_name(name)
        if parsed is not None:
            partitions[parsed[0]].add(parsed[1])
        elif is_set_aside(name, file_names.DELETED_DIRECTORY):
            removed.add(_topic_id(disk, join(path, name)))
    topics = [_found(disk, path, name, partitions[name]) for name in sorted(partitions)]
    return Found(topics, frozenset(one for one in removed if one is not None))


def _found(disk: Disk, path: str, name: str, partitions: set[int]) -> FoundTopic:
    stated = None
    if 0 in partitions:
        first = join(path, partition_directory_name(name, 0))
        stated = _decoded(disk, join(first, file_names.TOPIC_METADATA), decode_topic)
    ids = {}
    if stated is None or stated.name != name:
        stated = None
        for partition in sorted(partitions):
            topic_id = _topic_id(disk, join(path, partition_directory_name(name, partition)))
            if topic_id is not None:
                ids[partition] = topic_id
    return FoundTopic(name, frozenset(partitions), stated, ids)


def _topic_id(disk: Disk, directory: str) -> uuid.UUID | None:
    return _decoded(disk, join(directory, file_names.PARTITION_METADATA), decode_partition_metadata)


def _decoded(disk: Disk, path: str, decode: Callable[[bytes], T]) -> T | None:
    with suppress(OSError, ValueError):
        return decode(disk.read_bytes(path))
    return None


def write_topic(disk: Disk, directory: str, row: TopicRow) -> None:
    """Durably note what the topic is in the ``directory`` of its first partition.

    Raises DiskFull, OSError; then the file is what it was.
    """
    disk.write_atomically(join(directory, file_names.TOPIC_METADATA), encode_topic(row))


def put_right(disk: Disk, directory: str, row: TopicRow, partition: int) -> None:
    """Make the metadata in a partition's directory what it should be, as far as the disk lets."""
    metadata = join(directory, file_names.PARTITION_METADATA)
    wrong = []
    if _decoded(disk, metadata, decode_partition_metadata) != row.id:
        wrong.append((metadata, encode_partition_metadata(row.id)))
    topic = join(directory, file_names.TOPIC_METADATA)
    if partition == 0 and _decoded(disk, topic, decode_topic) != row:
        wrong.append((topic, encode_topic(row)))
    for path, content in wrong:
        try:
            if disk.exists(path):
                _log.warning("%s did not tell what its topic is, and was put right", path)
            disk.write_new(path, content)
        except (StorageError, OSError) as error:
            _log.error("%s cannot be put right: %s", path, error)
