"""Offset checkpoints of a data directory: one small text file for all partitions.

Apache Kafka's ``OffsetCheckpointFile.java`` defines the text: version ``0``, the number of
entries, then ``topic partition offset`` lines. Files are replaced atomically.

The last entry is of no topic and proves that the file is whole: its offset is the CRC-32C of the
lines of the others. Apache Kafka passes it over, and writes none.
"""

from __future__ import annotations

from collections.abc import Mapping

from crc32c import crc32c

Partitions = Mapping[tuple[str, int], int]

_CHECKSUM = ("#crc32c", 0)
"""No name of a topic has such a letter."""


def encode_checkpoint(offsets: Partitions) -> bytes:
    """The content of a checkpoint file for (topic, partition) -> offset."""
    entries = _entries(offsets)
    checksum = _entries({_CHECKSUM: crc32c(entries)})
    return b"0\n%d\n" % (len(offsets) + 1) + entries + checksum


def _entries(offsets: Partitions) -> bytes:
    lines = (f"{topic} {partition} {offset}\n" for (topic, partition), offset in offsets.items())
    return "".join(lines).encode()


def decode_checkpoint(data: bytes) -> dict[tuple[str, int], int]:
    """Raises ValueError for anything but a whole checkpoint of version 0."""
    try:
        offsets = _parse(data.decode())
    except ValueError as error:
        raise ValueError("it is no whole checkpoint of version 0") from error
    checksum = offsets.pop(_CHECKSUM, None)
    if checksum is not None and checksum != crc32c(_entries(offsets)):
        raise ValueError("its checksum is wrong")
    return offsets


def _parse(text: str) -> dict[tuple[str, int], int]:
    version, count, *lines = text.split("\n")
    offsets: dict[tuple[str, int], int] = {}
    for line in lines[:-1]:
        topic, partition, offset = line.split(" ")
        offsets[topic, int(partition)] = int(offset)
    if version != "0" or len(offsets) != int(count) or lines[-1]:
        raise ValueError("the number of entries is another")
    return offsets
