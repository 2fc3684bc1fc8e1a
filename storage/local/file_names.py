"""Names of everything in a data directory, built and parsed in this one place.

Names are Apache Kafka's (``LogFileUtils.java``), so that its tools find their way::

    DATA/<topic>-<partition>/00000000000000000042.log  .index  .timeindex  .snapshot
    DATA/<topic>-<partition>.<32 hexadecimal digits>-delete/    and  -stray/  (``LocalLog.java``)
"""

from __future__ import annotations

import re

LOG = ".log"
OFFSET_INDEX = ".index"
TIME_INDEX = ".timeindex"
PRODUCER_SNAPSHOT = ".snapshot"
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"
CUT = ".cut"
DELETED_DIRECTORY = "-delete"
STRAY_DIRECTORY = "-stray"

NAME_MAX = 255
"""Bytes of a name on every file system in use; those of topics are ASCII."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_SET_ASIDE = re.compile(r".*-\d+\.[0-9a-f]{32}(-delete|-stray)", re.ASCII | re.DOTALL)

META_PROPERTIES = "meta.properties"
META_COPY = "meta-checkpoint"
CATALOG = "catalog.sqlite"
CATALOG_COPY = "catalog-checkpoint"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
START_OFFSETS = "log-start-offset-checkpoint"
END_POSITIONS = "log-end-position-checkpoint"
CLEANER_OFFSETS = "cleaner-offset-checkpoint"
LOCK = ".lock"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
PARTITION_METADATA = "partition.metadata"
TOPIC_METADATA = "topic.metadata"
LEADER_EPOCHS = "leader-epoch-checkpoint"


def segment_file_name(offset: int, suffix: str) -> str:
    """The file of the segment (or snapshot) at ``offset``: twenty digits and a suffix."""
    return f"{offset:020d}{suffix}"


def parse_segment_file_name(name: str) -> tuple[int, str] | None:
    """The offset and suffix of a segment file's name, or None for any other file."""
    digits, dot, suffix = name.partition(".")
    if len(digits) != 20 or not digits.isdecimal() or not dot:
        return None
    return int(digits), dot + suffix


def partition_directory_name(topic: str, partition: int) -> str:
    """The directory of one partition's log."""
    return f"{topic}-{partition}"


def parse_partition_directory_name(name: str) -> tuple[str, int] | None:
    """The topic and partition of a directory's name, or None for any other name."""
    topic, dash, partition = name.rpartition("-")
    if not dash or not topic or not _NUMBER.fullmatch(partition):
        return None
    return topic, int(partition)


def set_aside_directory_name(topic: str, partition: int, unique: str, suffix: str) -> str:
    """Another name for a partition's directory; a long topic's name is cut, as Kafka does.

    ``unique`` are 32 hexadecimal digits.
    """
    ending = f"-{partition}.{unique}{suffix}"
    return topic[: NAME_MAX - len(ending)] + ending


def is_set_aside(name: str, suffix: str) -> bool:
    """Whether a directory's name is one that ``set_aside_directory_name`` makes."""
    matched = _SET_ASIDE.fullmatch(name)
    return matched is not None and matched[1] == suffix
