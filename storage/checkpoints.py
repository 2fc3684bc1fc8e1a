"""Offset checkpoints of a data directory: one small text file for all partitions.

Apache Kafka's ``OffsetCheckpointFile.java`` defines the text: version ``0``, the number of
entries, then ``topic partition offset`` lines. Files are replaced atomically.
"""

from __future__ import annotations

from collections.abc import Mapping

Partitions = Mapping[tuple[str, int], int]


def encode_checkpoint(offsets: Partitions) -> bytes:
    """The content of a checkpoint file for (topic, partition) -> offset."""
    lines = ["0", str(len(offsets))]
    lines += [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
    return ("\n".join(lines) + "\n").encode()


def decode_checkpoint(data: bytes) -> dict[tuple[str, int], int]:
    """Raises ValueError for anything but a whole checkpoint of version 0."""
    lines = data.decode().split("\n")
    if lines[0] != "0":
        raise ValueError(f"offset checkpoint of version {lines[0]!r}")
    count = int(lines[1])
    offsets: dict[tuple[str, int], int] = {}
    for line in lines[2 : 2 + count]:
        topic, partition, offset = line.split(" ")
        offsets[topic, int(partition)] = int(offset)
    if len(offsets) != count:
        raise ValueError("offset checkpoint is incomplete")
    return offsets
